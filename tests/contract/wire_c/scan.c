/*
 * A plugin that speaks the wire itself, with nothing but the C library: refuses images that hold certain bytes.
 *
 *     [[plugin]]
 *     name = "scan"
 *     use = "wire:/usr/lib/site-checks/scan"
 *     config = { pattern = "6576696c" }
 *
 * Written from docs/wire.md. The bytes are looked for where they stand in the ring, wherever the image is cut, in
 * linear time (Knuth, Morris, Pratt). A hole is as many zeros, and none of them is written down to be looked at.
 *
 *     cc -O2 -Wall -Wextra -o scan scan.c
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"

enum {
    DESCRIBED = 2, READY = 3, RELEASE = 4, LOG = 6, ACCEPT = 16, REFUSE = 17, FAILED = 20,
    LOAD = 64, IMAGE = 65, DATA = 66, HOLE = 67, END = 68,
    MOST = 4096
};

static int channel;

static void give_up(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(2); /* without a verdict: that is a failure, and lets nothing in */
}

/* frames */

static uint64_t little(const unsigned char *bytes, int count)
{
    uint64_t number = 0;
    while (count--)
        number = number << 8 | bytes[count];
    return number;
}

static void put_little(unsigned char *bytes, uint64_t number, int count)
{
    for (int i = 0; i < count; i++, number >>= 8)
        bytes[i] = number & 255;
}

static void put(const void *data, size_t length)
{
    for (const char *at = data; length;) {
        ssize_t done = write(channel, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            exit(0); /* the engine has gone, or has heard enough */
        at += done;
        length -= (size_t)done;
    }
}

static void send_frame(uint32_t type, const void *payload, size_t length)
{
    unsigned char header[8];
    put_little(header, type, 4);
    put_little(header + 4, length, 4);
    put(header, sizeof header);
    put(payload, length);
}

static void send_text(uint32_t type, const char *json)
{
    send_frame(type, json, strlen(json));
}

static void send_number(uint32_t type, uint64_t number)
{
    unsigned char payload[8];
    put_little(payload, number, 8);
    send_frame(type, payload, sizeof payload);
}

static void get(void *room, size_t length)
{
    for (char *at = room; length;) {
        ssize_t done = read(channel, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            exit(0);
        at += done;
        length -= (size_t)done;
    }
}

/* The next frame: its type. The payload is in memory that is never given back: there are few, and they are short. */
static uint32_t next_frame(unsigned char **payload, size_t *length)
{
    static unsigned char *room;
    unsigned char header[8];

    get(header, sizeof header);
    *length = little(header + 4, 4);
    room = realloc(room, *length + 1);
    if (!room)
        give_up("there is no memory for a frame");
    get(room, *length);
    *payload = room;
    return (uint32_t)little(header, 4);
}

/* what is looked for */

static unsigned char wanted[MOST];
static size_t back[MOST], wanted_length, fits; /* back: how much still fits when the byte after the first i + 1 does not */

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

static int parse(struct text hex)
{
    size_t length = (size_t)(hex.end - hex.at);
    if (!length || length % 2 || length / 2 > MOST)
        return 0;
    for (size_t i = 0; i < length / 2; i++) {
        int high = digit(hex.at[2 * i]), low = digit(hex.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        wanted[i] = (unsigned char)(high * 16 + low);
    }
    wanted_length = length / 2;
    for (size_t i = 1, match = 0; i < wanted_length; i++) {
        while (match && wanted[i] != wanted[match])
            match = back[match - 1];
        if (wanted[i] == wanted[match])
            match++;
        back[i] = match;
    }
    return 1;
}

static int found_in(const unsigned char *bytes, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++) {
        while (fits && bytes[i] != wanted[fits])
            fits = back[fits - 1];
        if (bytes[i] == wanted[fits])
            fits++;
        if (fits == wanted_length)
            return 1;
    }
    return 0;
}

/* After as many zeros as are looked for, more of them change nothing: so a hole costs no more than that. */
static int found_in_hole(uint64_t length)
{
    static const unsigned char zeros[MOST];
    return found_in(zeros, length < wanted_length ? length : wanted_length);
}

/* the conversation */

static void refuse_configuration(const char *message)
{
    char json[512];
    snprintf(json, sizeof json,
             "{\"stage\":\"configure\",\"kind\":\"SettingError\",\"message\":\"%s\",\"trace\":\"\",\"seen\":0}", message);
    send_text(FAILED, json);
    exit(0);
}

static void configure(struct text load)
{
    struct text config, texts, key, setting, hex = {NULL, NULL}, inside;
    struct text *tables[] = {&config, &texts}; /* what was written on a command line comes second, and wins */

    if (!look_up(load, "config", &config) || !look_up(load, "texts", &texts))
        give_up("LOAD has no configuration");
    for (int i = 0; i < 2; i++) {
        next_is(tables[i], '{');
        while (member(tables[i], &key, &setting)) {
            if (!same(key, "pattern"))
                refuse_configuration("there is a key that is not a setting of the plugin; it has: pattern");
            if (!string(&setting, &inside))
                refuse_configuration("'pattern' must be a string of hexadecimal digits");
            hex = inside;
        }
    }
    if (!hex.at)
        refuse_configuration("'pattern' (hexadecimal digits) is required and not set");
    if (!parse(hex))
        refuse_configuration("'pattern' must be 1 to 4096 bytes as hexadecimal digits");
}

int main(void)
{
    const char *number = getenv("DOUANE_CHANNEL");
    struct text load, image, rings, ring, found;
    uint64_t index, fd, slot_bytes, at, end = 0, zeros = 0;
    unsigned char *payload, *ring_bytes;
    struct stat status;
    size_t length;
    int hit = 0;
    char json[256];

    if (!number)
        give_up("this is a plugin for Douane: use = \"wire:PROGRAM\"");
    channel = atoi(number);

    if (next_frame(&payload, &length) != LOAD)
        give_up("the first frame is not LOAD");
    load.at = (char *)memcpy(malloc(length + 1), payload, length);
    load.end = load.at + length;
    send_text(DESCRIBED,
              "{\"api\":1,\"level\":1,\"kind\":\"inspector\",\"reads\":\"stream\",\"class\":\"scan\","
              "\"doc\":\"Refuses images that hold certain bytes.\",\"takes_any\":false,"
              "\"parameters\":[{\"name\":\"pattern\",\"type\":\"hexadecimal digits\",\"required\":true}]}");
    configure(load);
    send_frame(READY, NULL, 0);

    if (next_frame(&payload, &length) != IMAGE)
        give_up("IMAGE was expected");
    image.at = (char *)payload;
    image.end = image.at + length;
    if (!look_up(image, "ring", &found) || !whole_number(found, &index) || !look_up(load, "rings", &rings) ||
        !item(rings, index, &ring) || !look_up(ring, "fd", &found) || !whole_number(found, &fd) ||
        !look_up(ring, "slot_bytes", &found) || !whole_number(found, &slot_bytes))
        give_up("there is no ring to read from");
    if (fstat((int)fd, &status) < 0)
        give_up("the ring's length is not told");
    ring_bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, (int)fd, 0);
    if (ring_bytes == MAP_FAILED)
        give_up("the ring cannot be mapped");

    for (;;) {
        uint32_t type = next_frame(&payload, &length);
        if (type == END && length == 16)
            break;
        if (type == DATA && length == 24) {
            at = little(payload, 8);
            end = at + little(payload + 16, 8);
            hit = found_in(ring_bytes + little(payload + 8, 8), end - at);
        } else if (type == HOLE && length == 16) {
            at = little(payload, 8);
            end = at + little(payload + 8, 8);
            zeros += end - at;
            hit = found_in_hole(end - at);
        } else
            give_up("DATA, HOLE or END was expected");
        if (hit)
            break;
        send_number(RELEASE, end); /* each time before it waits: what is not let go of counts as work that it has */
    }
    if (hit)
        snprintf(json, sizeof json,
                 "{\"code\":\"pattern-found\",\"message\":\"the image holds bytes that this site does not allow\","
                 "\"seen\":%llu}", (unsigned long long)end);
    else
        snprintf(json, sizeof json, "{\"properties\":{\"searched\":%llu,\"zeros\":%llu},\"seen\":%llu}",
                 (unsigned long long)end, (unsigned long long)zeros, (unsigned long long)end);
    send_text(hit ? REFUSE : ACCEPT, json);
    return 0;
}
