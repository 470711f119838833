#!/bin/sh
# Synopsis, the lines of douane.toml:
#
#     [[plugin]]
#     name = "no-web-page"
#     use = "exec:plugins/no_web_page.sh"
#     refuse = [10]
#
# Shows a program as a plugin, in shell: the image is on standard input. Exit status 0 accepts; 10 refuses, and the tenant
# reads the first line of standard error; any other status is a failure. The program may stop reading at any time.
#
# Refuses a web page that was saved as an image, because the link to the image led to an error page or a download page.
# Only the first 512 bytes are held in memory: a shell should not hold more of a tenant's bytes.
#
# Commands that fail exit with 1 or 2, and a shell with 126 or 127: none of these refuses an image.
set -u
LC_ALL=C
export LC_ALL

# Remove NUL, white space and the mark of UTF-8, so that the rest begins with the first word of the page. The status of a
# pipe is that of its last command: the word at the end shows that the first one succeeded. A program must not accept
# because a command could not run.
start=$({ head -c 512 && printf done; } | tr -d '\000 \t\r\n\357\273\277' | tr 'A-Z' 'a-z')
case $start in
    '<!doctypehtml'*done | '<html'*done)
        echo 'this is a web page, not an image; check the link that it was downloaded from' >&2
        exit 10
        ;;
    *done) exit 0 ;;
    *)
        echo 'the start of the image could not be read' >&2
        exit 2
        ;;
esac
