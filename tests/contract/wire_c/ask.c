/*
 * A plugin that speaks the wire and asks a granted service: over a connection that it asks Douane for, and at the path
 * of the grant, as a library does. The service answers "hello" with "HELLO".
 *
 *     [[plugin]]
 *     name = "ask"
 *     use = "wire:/usr/lib/site-checks/ask"
 *     grants = { svc = "tcp:127.0.0.1:8080" }
 *     socket_paths = ["svc"]
 *
 * Written from docs/wire.md. The two fields of LOAD are searched for as text: LOAD has one grant, and no other text.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DESCRIBED = 2, READY = 3, ACCEPT = 16, MOST = 1 << 16 };

static int channel;

static void give_up(const char *why)
{
    perror(why);
    exit(2); /* without a verdict: that is a failure, and lets nothing in */
}

static void send_frame(uint32_t kind, const char *payload)
{
    uint32_t length = (uint32_t)strlen(payload);
    unsigned char header[8];
    for (int i = 0; i < 4; i++) {
        header[i] = kind >> 8 * i & 255;
        header[4 + i] = length >> 8 * i & 255;
    }
    if (write(channel, header, 8) != 8 || write(channel, payload, length) != (ssize_t)length)
        give_up("the channel");
}

static void receive(void *data, size_t length)
{
    for (char *at = data; length;) {
        ssize_t part = read(channel, at, length);
        if (part <= 0)
            exit(0); /* the engine has gone */
        at += part, length -= (size_t)part;
    }
}

static void receive_frame(char *payload)
{
    unsigned char header[8];
    receive(header, 8);
    size_t length = header[4] | header[5] << 8 | header[6] << 16;
    if (length >= MOST)
        give_up("a long frame");
    receive(payload, length);
    payload[length] = 0;
}

static int new_connection(int control)
{
    char text[512], space[CMSG_SPACE(sizeof(int))];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (send(control, "", 1, 0) != 1 || recvmsg(control, &message, MSG_CMSG_CLOEXEC) < 4)
        give_up("the control socket");
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (text[0] || text[1] || !head || head->cmsg_type != SCM_RIGHTS)
        give_up("no connection");
    int fd;
    memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

static void ask(int peer, char *answer)
{
    if (write(peer, "hello", 5) != 5 || read(peer, answer, 5) != 5)
        give_up("the service");
    answer[5] = 0;
    close(peer);
}

int main(void)
{
    static char load[MOST], facts[MOST], text[256];
    char first[8], second[8];
    channel = atoi(getenv("DOUANE_CHANNEL"));
    receive_frame(load);
    send_frame(DESCRIBED, "{\"api\":1,\"level\":1,\"kind\":\"inspector\",\"reads\":\"nothing\"}");
    send_frame(READY, "");
    receive_frame(facts);

    char *field = strstr(load, "\"connect_fd\":"), *folder = strstr(load, "\"socket_folder\":\"");
    if (!field || !folder)
        give_up("LOAD");
    ask(new_connection(atoi(field + strlen("\"connect_fd\":"))), first);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    folder += strlen("\"socket_folder\":\"");
    *strchr(folder, '"') = 0;
    snprintf(address.sun_path, sizeof address.sun_path, "%.80s/any-name", folder);
    int peer = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(peer, (struct sockaddr *)&address, sizeof address))
        give_up("connect");
    ask(peer, second);

    snprintf(text, sizeof text, "{\"properties\":{\"asked\":\"%s\",\"at_path\":\"%s\"},\"seen\":0}", first, second);
    send_frame(ACCEPT, text);
    return 0;
}
