/*
 * A program that says on the wire what its arguments tell, byte by byte, whatever that is.
 *
 * "<": the next frame of the engine is read, and written to standard error, in hexadecimal digits. "look": what it was
 * started with is written there. "output:HEX": these bytes are written to the pipe that LOAD has named as output_fd.
 * "done": that pipe is closed. "close": the channel is closed. "exit:N": it ends at once, with that status. "hang": it does
 * nothing more. Anything else: these hexadecimal digits are sent.
 *
 *     cc -O2 -Wall -Wextra -o speak speak.c
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BROKEN = 3 };

static int output = -1;

static void get(int channel, unsigned char *room, size_t length)
{
    while (length) {
        ssize_t done = read(channel, room, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            exit(BROKEN);
        room += done;
        length -= (size_t)done;
    }
}

static void hear(int channel)
{
    unsigned char header[8], *payload;
    uint32_t length;

    get(channel, header, sizeof header);
    length = (uint32_t)header[4] | (uint32_t)header[5] << 8 | (uint32_t)header[6] << 16 | (uint32_t)header[7] << 24;
    payload = malloc(length + 1);
    if (!payload)
        exit(BROKEN);
    get(channel, payload, length);
    payload[length] = 0;
    for (const char *at = (char *)payload; output < 0 && (at = strstr(at, "\"output_fd\":")); at++)
        if (at[12] != 'n')
            output = atoi(at + 12);
    for (size_t i = 0; i < sizeof header; i++)
        fprintf(stderr, "%02x", header[i]);
    for (size_t i = 0; i < length; i++)
        fprintf(stderr, "%02x", payload[i]);
    fputc('\n', stderr);
    free(payload);
}

static void say(int fd, const char *digits)
{
    for (; digits[0] && digits[1]; digits += 2) {
        char two[] = {digits[0], digits[1], 0};
        unsigned char byte = (unsigned char)strtoul(two, NULL, 16);
        if (write(fd, &byte, 1) != 1)
            exit(BROKEN);
    }
}

static void look(void)
{
    extern char **environ;
    char folder[256];

    fputs("open", stderr);
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            fprintf(stderr, " %d", fd);
    fprintf(stderr, "\nin %s\n", getcwd(folder, sizeof folder) ? folder : "?");
    for (char **each = environ; *each; each++)
        fprintf(stderr, "env %s\n", *each);
    fputs(open("/etc/hostname", O_RDONLY) < 0 ? "closed\n" : "opened\n", stderr);
}

int main(int argc, char **argv)
{
    const char *number = getenv("DOUANE_CHANNEL");
    int channel = number ? atoi(number) : -1;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "<"))
            hear(channel);
        else if (!strcmp(argv[i], "look"))
            look();
        else if (!strncmp(argv[i], "output:", 7))
            say(output, argv[i] + 7);
        else if (!strcmp(argv[i], "done"))
            close(output);
        else if (!strcmp(argv[i], "close"))
            close(channel);
        else if (!strncmp(argv[i], "exit:", 5))
            exit(atoi(argv[i] + 5));
        else if (!strcmp(argv[i], "hang"))
            for (;;)
                pause();
        else
            say(channel, argv[i]);
    }
    return 0;
}
