#!/bin/sh
# Synopsis, the lines of douane.toml:
#
#     [[plugin]]
#     name = "no-web-page"
#     use = "exec:plugins/no_web_page.sh"
#
# Shows a program as a plugin, in shell: the image is on standard input; 0 accepts; 1 refuses, with the first line of
# standard error for the tenant; anything else is a failure. It may stop reading when it has seen enough.
#
# Refuses a web page that was saved as an image, because the link to the image led to a page of errors or of downloads.
# Only the first 512 bytes are held in memory: a shell is no place for more of a tenant's bytes.
#
# Without `set -e`: it would end with the status of whatever failed, which may be 1, and that refuses.
set -u
LC_ALL=C
export LC_ALL

# NUL, white space and the mark of UTF-8 are taken out, so that what is left begins with the page's own first word.
# A pipe tells the status of its last program only. So the word at the end says that all of them went well: whoever
# refuses by a condition must not accept because a program could not run.
begins=$({ head -c 512 && printf done; } | tr -d '\000 \t\r\n\357\273\277' | tr 'A-Z' 'a-z')
case $begins in
    '<!doctypehtml'*done | '<html'*done)
        echo 'this is a web page and no image; look where the link that you downloaded it from leads to' >&2
        exit 1
        ;;
    *done) exit 0 ;;
    *)
        echo 'the beginning of the image could not be read' >&2
        exit 2
        ;;
esac
