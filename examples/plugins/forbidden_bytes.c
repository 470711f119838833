/*
 * Synopsis, the lines of douane.toml:
 *
 *     [[plugin]]
 *     name = "forbidden-bytes"
 *     use = "exec:plugins/forbidden_bytes deadbeefcafe"
 *     refuse = [10]
 *
 * Build it first: cc -O2 -Wall -Wextra -o forbidden_bytes forbidden_bytes.c
 *
 * Shows a program as a plugin, in a compiled language. It needs no library of Douane's: the image is on standard input.
 * Exit status 0 accepts; 10 refuses, and the tenant reads the first line of standard error; any other status is a failure.
 * A wrong argument, or an error of reading, must therefore exit with neither 0 nor 10.
 *
 * Refuses an image that holds certain bytes, given as hexadecimal digits. It finds them wherever read(2) cuts the image,
 * in linear time, by the algorithm of Knuth, Morris and Pratt, which never goes back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ACCEPT = 0, REFUSE = 10, FAIL = 2, MAX_BYTES = 4096 };

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

/* Decode hexadecimal digits into `bytes`; return how many bytes they are, 0 for invalid or too many digits. */
static size_t parse(const char *hex, unsigned char *bytes)
{
    size_t length = strlen(hex);
    if (length % 2 || length / 2 > MAX_BYTES)
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
    static unsigned char pattern[MAX_BYTES], piece[1 << 16];
    static size_t back[MAX_BYTES]; /* length of the longest prefix that also ends the first i + 1 bytes */
    size_t length = argc == 2 ? parse(argv[1], pattern) : 0;
    size_t fits = 0;
    ssize_t got;

    if (!length) {
        fprintf(stderr, "usage: forbidden_bytes HEX: 1 to %d bytes as hexadecimal digits\n", MAX_BYTES);
        return FAIL;
    }
    for (size_t i = 1; i < length; i++) {
        while (fits && pattern[i] != pattern[fits])
            fits = back[fits - 1];
        if (pattern[i] == pattern[fits])
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
            while (fits && piece[i] != pattern[fits])
                fits = back[fits - 1];
            if (piece[i] == pattern[fits])
                fits++;
            if (fits == length) {
                fputs("the image holds bytes that this site does not allow; ask the operator for them\n", stderr);
                return REFUSE;
            }
        }
    }
    return ACCEPT;
}
