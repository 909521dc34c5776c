# The manual page, from what the program says of itself: `photonet --help`, then for each command a line "@@ NAME" and
# the output of `photonet NAME --help`, and for each transport "@@ transport NAME" and its page. So the page cannot say
# anything else than the program.
#   awk -v version=0.1.0 -f netsim/manpage.awk

function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    sub(/^[.']/, "\\\\\\&&", text)
    return text
}

function verbatim_end() {
    if (is_verbatim) {
        print ".fi"
    }
    is_verbatim = 0
}

BEGIN {
    print ".TH PHOTONET 1 \"\" \"photonet " version "\" \"User commands\""
    print ".SH NAME"
    print "photonet \\- packet\\-level simulation of AI training traffic over electrical and photonic fabrics"
    print ".SH SYNOPSIS"
    print ".B photonet"
    print "COMMAND [OPTION...]"
    print ".SH DESCRIPTION"
    print ".nf"
    is_verbatim = 1
}

/^@@ / {
    verbatim_end()
    print ".SH \"PHOTONET " toupper(substr($0, 4)) "\""
    print ".nf"
    is_verbatim = 1
    next
}

NR == 1 && /^Usage:/ {
    next
}

{
    print escaped($0)
}

END {
    verbatim_end()
    print ".SH FILES"
    print "Presets of fabrics are compiled in; their text is in share/photonet/presets under the installation's prefix."
    print ".SH SEE ALSO"
    print "pkg\\-config \\-\\-cflags \\-\\-libs photonet, for programs that run Photonet as a library (photonet/photonet.h)."
}
