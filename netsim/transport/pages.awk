# Heads of transports as C strings: awk -f netsim/transport/pages.awk netsim/transport/window.c ...
# A head is the comment that a file begins with.

BEGIN {
    print "#include \"netsim/transport/transport.h\""
    print "const struct transport_page transport_pages[] = {"
}

FNR == 1 {
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.c$/, "", name)
    print "    {\"" name "\","
    is_head = 1
}

is_head {
    is_last = sub(/ \*\/$/, "")
    sub(/^(\/\*| \*) ?/, "")
    gsub(/\\/, "\\\\")
    gsub(/"/, "\\\"")
    print "     \"" $0 "\\n\""
    if (is_last) {
        print "    },"
        is_head = 0
    }
}

END {
    print "    {0, 0}};"
}
