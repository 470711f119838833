/*
 * Synopsis, the lines of douane.toml:
 *
 *     [[plugin]]
 *     name = "forbidden-bytes"
 *     use = "exec:plugins/forbidden_bytes deadbeefcafe"
 *
 * Build it first: cc -O2 -Wall -Wextra -o forbidden_bytes forbidden_bytes.c
 *
 * Shows a program as a plugin, in a compiled language. It needs nothing of Douane: the image is on standard input; 0
 * accepts; 1 refuses, with the first line of standard error for the tenant; anything else is a failure. So a wrong
 * argument, or an error of reading, must not end with 1, and never with 0.
 *
 * Refuses an image that holds certain bytes, given as hexadecimal digits. They are found wherever read(2) cuts them, in
 * linear time, by the algorithm of Knuth, Morris and Pratt: it never goes back in what was read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ACCEPT = 0, REFUSE = 1, FAIL = 2, MOST = 4096 };

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

/* The bytes that the hexadecimal digits say; 0 if they say none, or more than there is room for. */
static size_t parse(const char *hex, unsigned char *bytes)
{
    size_t length = strlen(hex);
    if (length % 2 || length / 2 > MOST)
        return 0;
    for (size_t i = 0; i < length / 2; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    return length / 2;
}

int main(int argc, char **argv)
{
    static unsigned char wanted[MOST], piece[1 << 16];
    static size_t back[MOST]; /* how much still fits when the byte behind the first i + 1 does not */
    size_t length = argc == 2 ? parse(argv[1], wanted) : 0;
    size_t fits = 0;
    ssize_t got;

    if (!length) {
        fprintf(stderr, "usage: forbidden_bytes HEX: 1 to %d bytes as hexadecimal digits\n", MOST);
        return FAIL;
    }
    for (size_t i = 1; i < length; i++) {
        while (fits && wanted[i] != wanted[fits])
            fits = back[fits - 1];
        if (wanted[i] == wanted[fits])
            fits++;
        back[i] = fits;
    }
    fits = 0;
    while ((got = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
        if (got < 0) {
            if (errno == EINTR)
                continue;
            perror("the image cannot be read");
            return FAIL;
        }
        for (ssize_t i = 0; i < got; i++) {
            while (fits && piece[i] != wanted[fits])
                fits = back[fits - 1];
            if (piece[i] == wanted[fits])
                fits++;
            if (fits == length) {
                fputs("the image holds bytes that this site does not allow; ask the operator which these are\n", stderr);
                return REFUSE;
            }
        }
    }
    return ACCEPT;
}
