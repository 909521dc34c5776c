#!/usr/bin/awk -f
# The laws of the tree, checked on every source file. Run from the repository's root; prints a line for each breach.
#
#   - Includes are written from the root and go downward only, by the table below.
#   - hdf5.h is included where files are read and written and nowhere else; malloc has one caller; one place exits.
#   - A file name occurs once in the tree, so that an object, a debugger's line and a search result mean one file.
#   - No function is longer than 70 lines.

BEGIN {
    # Inside netsim/ a folder may include folders of a lower level, and itself. Folders of one level stand beside each
    # other. "run" is what lies in netsim/ itself: the pipeline and the command line.
    level["base"] = 0
    level["metrics"] = level["optics"] = level["output"] = level["route"] = 1
    level["circuit"] = 2
    level["engine"] = 3
    level["transport"] = 4
    level["replay"] = 5
    level["flow"] = 6
    level["run"] = 7
    level["batch"] = 8

    # What each folder of the top level may include.
    allowed["include/photonet"] = "photonet"
    allowed["netsim"] = "photonet netsim"
    allowed["topologies"] = "photonet topologies"
    allowed["traces"] = "photonet traces"
    allowed["analysis"] = "photonet analysis"

    function_lines_max = 70

    list = "find include netsim topologies traces analysis tests -name '*.[ch]' -o -name '*.def' -o -name '*.py' | LC_ALL=C sort"
    while ((list | getline file) > 0) {
        ARGV[ARGC++] = file
        name = file
        sub(/.*\//, "", name)
        if (name in seen) {
            breach(file ": the name is taken by " seen[name])
        }
        seen[name] = file
    }
    if (ARGC == 1) {
        breach("no sources here: run it from the root of the repository")
        exit
    }
}

function breach(text) {
    print text
    breaches++
}

function top_of(path) {
    if (path ~ /^include\/photonet\//) {
        return "include/photonet"
    }
    sub(/\/.*/, "", path)
    return path
}

# "netsim/engine/window.c" -> "engine"; "netsim/run.c" -> "run"
function layer_of(path, parts, count) {
    count = split(path, parts, "/")
    return count == 2 ? "run" : parts[2]
}

function is_allowed(top, target, words, count, i) {
    count = split(allowed[top], words, " ")
    for (i = 1; i <= count; i++) {
        if (words[i] == target) {
            return 1
        }
    }
    return 0
}

function include_check(target, from, to) {
    if (top == "tests") {
        return
    }
    if (target !~ /\//) {
        breach(FILENAME ":" FNR ": \"" target "\": an include is written from the root")
        return
    }
    if (!is_allowed(top, top_of(target))) {
        breach(FILENAME ":" FNR ": " top "/ includes \"" target "\"; it may include: " allowed[top])
        return
    }
    if (top == "netsim" && top_of(target) == "netsim") {
        from = layer_of(FILENAME)
        to = layer_of(target)
        if (!(from in level) || !(to in level)) {
            breach(FILENAME ":" FNR ": " from " or " to " has no level in tests/layers.awk")
        } else if (from != to && level[to] >= level[from]) {
            breach(FILENAME ":" FNR ": " from " includes \"" target "\", and " to " is not below it")
        }
    }
}

# The line without comments and strings; block comments may run over lines.
function code_of(text, before) {
    gsub(/'\\?.'/, "0", text)
    gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
    gsub(/\/\*([^*]|\*[^\/])*\*\//, "", text)
    if (is_comment) {
        if (!match(text, /\*\//)) {
            return ""
        }
        text = substr(text, RSTART + 2)
        is_comment = 0
    }
    if (match(text, /\/\*/)) {
        is_comment = 1
        text = substr(text, 1, RSTART - 1)
    }
    sub(/\/\/.*/, "", text)
    return text
}

function calls(code, names) {
    return code ~ ("(^|[^A-Za-z0-9_.>])(" names ")[ ]*\\(")
}

FNR == 1 {
    top = top_of(FILENAME)
    is_comment = 0
    body = 0
}

FILENAME !~ /\.[ch]$/ {
    next
}

/^#[ ]*include[ ]*"/ {
    target = $0
    sub(/^[^"]*"/, "", target)
    sub(/".*/, "", target)
    include_check(target)
}

/^#[ ]*include[ ]*<(hdf5|H5)/ && top != "tests" && top != "analysis" && FILENAME !~ /^(netsim\/output\/|traces\/job_)/ {
    breach(FILENAME ":" FNR ": HDF5 is for netsim/output, analysis and the job file")
}

/^\{/ {
    body = FNR
}

/^\}/ {
    if (body && FNR - body - 1 > function_lines_max) {
        breach(FILENAME ":" body ": a function of " FNR - body - 1 " lines; at most " function_lines_max)
    }
    body = 0
}

{
    code = code_of($0)
    if (top == "tests" || code == "") {
        next
    }
    if (FILENAME != "netsim/base/arena.c" && calls(code, "malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|strndup|asprintf")) {
        breach(FILENAME ":" FNR ": memory comes from an arena (photonet/arena.h)")
    }
    if (FILENAME != "netsim/main.c" && calls(code, "exit")) {
        breach(FILENAME ":" FNR ": only netsim/main.c ends the process; return a status")
    }
    # The second signal ends the process at once, so does a lack of memory; a simulation in a forked child ends with it.
    if (FILENAME != "netsim/cli.c" && FILENAME !~ /^netsim\/base\/(arena|doc)\.c$/ && FILENAME != "analysis/reader.c" && FILENAME !~ /^netsim\/flow\// && calls(code, "_exit|_Exit|quick_exit")) {
        breach(FILENAME ":" FNR ": only netsim/main.c ends the process; return a status")
    }
}

END {
    print "layers: " (breaches ? 0 : 1) " passed, " (breaches ? 1 : 0) " failed, 0 skipped"
    exit breaches > 0
}
