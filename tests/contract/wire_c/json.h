/*
 * Just as much of JSON (RFC 8259) as a runtime of plugins needs: find a value by its key, skip what is not known, read
 * strings and numbers. A text is given by its begin and end, and need not end with a zero.
 */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DEEPEST = 64 };

struct text {
    const char *at, *end;
};

static void blanks(struct text *json)
{
    while (json->at < json->end && strchr(" \t\r\n", *json->at) && *json->at)
        json->at++;
}

static int next_is(struct text *json, char c)
{
    blanks(json);
    if (json->at == json->end || *json->at != c)
        return 0;
    json->at++;
    return 1;
}

/* A string: what stands between its quotes. 0 if there is none. */
static int string(struct text *json, struct text *inside)
{
    if (!next_is(json, '"'))
        return 0;
    inside->at = json->at;
    for (; json->at < json->end; json->at++) {
        if (*json->at == '\\')
            json->at++;
        else if (*json->at == '"') {
            inside->end = json->at++;
            return 1;
        }
    }
    return 0;
}

/* Any value. 0 if it is broken off, or nested too deeply. */
static int value(struct text *json, struct text *whole, int depth)
{
    struct text ignored;

    blanks(json);
    whole->at = json->at;
    if (depth > DEEPEST || json->at == json->end)
        return 0;
    if (*json->at == '"') {
        if (!string(json, &ignored))
            return 0;
    } else if (*json->at == '{' || *json->at == '[') {
        char closes = *json->at++ == '{' ? '}' : ']';
        if (!next_is(json, closes)) {
            do {
                if (closes == '}' && !(string(json, &ignored) && next_is(json, ':')))
                    return 0;
                if (!value(json, &ignored, depth + 1))
                    return 0;
            } while (next_is(json, ','));
            if (!next_is(json, closes))
                return 0;
        }
    } else {
        while (json->at < json->end && *json->at && !strchr(",]} \t\r\n", *json->at))
            json->at++;
    }
    whole->end = json->at;
    return whole->at < whole->end;
}

static int same(struct text one, const char *other)
{
    size_t length = strlen(other);
    return (size_t)(one.end - one.at) == length && !memcmp(one.at, other, length);
}

/* The next key of an object and its value; `json` stands behind the opening brace. 0 at the end. */
static int member(struct text *json, struct text *key, struct text *found)
{
    next_is(json, ',');
    return string(json, key) && next_is(json, ':') && value(json, found, 0);
}

/* The value of `key` in an object. 0 if it is not there. */
static int look_up(struct text json, const char *key, struct text *found)
{
    struct text name;

    if (!next_is(&json, '{'))
        return 0;
    while (member(&json, &name, found))
        if (same(name, key))
            return 1;
    return 0;
}

/* Item number `index` of an array. 0 if it is not there. */
static int item(struct text json, uint64_t index, struct text *found)
{
    if (!next_is(&json, '['))
        return 0;
    do {
        if (!value(&json, found, 0))
            return 0;
    } while (index-- && next_is(&json, ','));
    return index == UINT64_MAX;
}

/* A whole number, not negative. 0 if it is none. */
static int whole_number(struct text json, uint64_t *number)
{
    *number = 0;
    if (json.at == json.end)
        return 0;
    for (; json.at < json.end; json.at++) {
        if (*json.at < '0' || *json.at > '9' || *number > UINT64_MAX / 10 - 1)
            return 0;
        *number = *number * 10 + (uint64_t)(*json.at - '0');
    }
    return 1;
}

#endif
