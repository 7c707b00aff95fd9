/* Hand signals to a holdfast engine on this host, and hear what becomes of them. For C and for whatever can call C.
 *
 *   link       -lholdfast_trade
 *   promise    HF_OK and HF_DUPLICATE from hf_trade_submit mean that the engine's journal has the signal. After HF_UNREACHABLE and
 *              HF_UNAVAILABLE nothing is known: submit the same signal (the same id) again, as often as you like; it
 *              becomes one order. Never make a new id for a signal that you submit again
 *   texts      UTF-8. Numbers are decimal texts ("0.10"), so that none passes through a binary fraction
 *   errors     a negative hf_code; hf_last_error() has a sentence
 *   threads    a handle may be used from several threads; hf_trade_poll does not hold up the others
 *   ABI        functions and codes are never changed or removed; structs grow at their end, and `size` says which ones the
 *              caller knows: set it to sizeof the struct
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#else
#define HF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HF_API_VERSION 1

typedef enum hf_code {
    HF_OK = 0,
    HF_DUPLICATE = 1, /* known already: the order is what became of the first one */
    HF_USAGE = -1, /* an argument of this call is missing or malformed */
    HF_REFUSED = -2, /* the engine will never take this signal as it is */
    HF_CONFLICT = -3, /* the id belongs to another signal, which counts */
    HF_UNAVAILABLE = -4, /* not now: the same again later */
    HF_UNREACHABLE = -5, /* no engine there, or its answer was lost: the same again later */
    HF_DENIED = -6, /* the token is missing or wrong, or the socket is somebody else's */
    HF_NOT_FOUND = -7, /* no order with this id is known */
    HF_GAP = -8, /* hf_trade_poll: results are missing before the next ones; ask for your orders by id */
    HF_UNSUPPORTED = -9, /* this engine does not offer it */
    HF_INTERNAL = -10
} hf_code;

typedef struct hf_trade hf_trade;

/* NULL: absent. id, symbol, side and quantity must be there. */
typedef struct hf_signal {
    size_t size; /* sizeof(hf_signal) */
    const char* id; /* UUID, made once for this signal: hf_uuid() */
    const char* symbol;
    const char* side; /* "buy", "sell" */
    const char* type; /* "market" (the default), "limit", "stop" */
    const char* quantity;
    const char* price; /* limit and stop */
    const char* stop_loss;
    const char* take_profit;
    const char* strategy;
    const char* created_at; /* "2026-11-27T11:00:00.123Z" */
    const char* deadline; /* no attempt begins after it */
} hf_signal;

/* Empty texts: not known. Set `size` before the call. */
typedef struct hf_order {
    size_t size; /* sizeof(hf_order) */
    uint64_t sequence; /* hf_trade_poll: of the change */
    char id[40];
    char signal[40]; /* of a child order: the id of the signal that it belongs to */
    char state[24]; /* "accepted", "sent", "acked", "partially_filled", "filled", "rejected", "expired", … */
    char symbol[40];
    char side[8];
    char type[8];
    char quantity[24];
    char price[24];
    char filled[24];
    char filled_value[24]; /* sum of quantity times price */
    char broker_id[72];
    char reason[200];
} hf_order;

typedef struct hf_tick {
    size_t size; /* sizeof(hf_tick), of the first one */
    const char* symbol;
    const char* bid;
    const char* ask;
    const char* at; /* NULL: now */
} hf_tick;

HF_API int hf_api_version(void);
/* "HF_CONFLICT" */
HF_API const char* hf_code_name(int code);
/* What the newest failed call on this thread says; valid until the thread's next call. */
HF_API const char* hf_last_error(void);
/* A new UUID of version 7, with its 0 at the end. */
HF_API hf_code hf_uuid(char id[37]);

/* `address`: "unix:/run/holdfast/ACCOUNT.sock" or "http://127.0.0.1:8791"; `token` for http, else NULL. Connects at the first call that
 * needs it, and again by itself whenever the connection broke. */
HF_API hf_code hf_trade_open(const char* address, const char* token, hf_trade** trade);
/* How long a call waits for the engine; 10 s at first. */
HF_API hf_code hf_trade_set_timeout(hf_trade* trade, unsigned milliseconds);
/* `order` may be NULL. It is filled in after HF_OK and HF_DUPLICATE. */
HF_API hf_code hf_trade_submit(hf_trade* trade, const hf_signal* signal, hf_order* order);
HF_API hf_code hf_trade_order(hf_trade* trade, const char* id, hf_order* order);
/* Changes of orders since the last poll, in order; the first poll begins where the feed stood when this handle was first used.
 * Waits up to `wait_ms` for the first one. Returns how many of `orders` were filled in, or a code. Set `size` of the first. */
HF_API int hf_trade_poll(hf_trade* trade, hf_order* orders, size_t count, unsigned wait_ms);
/* The next poll begins after this sequence: one that was kept over a restart of the producer. */
HF_API hf_code hf_trade_seek(hf_trade* trade, uint64_t sequence);
HF_API hf_code hf_trade_ticks(hf_trade* trade, const hf_tick* ticks, size_t count);
HF_API void hf_trade_close(hf_trade* trade);

#ifdef __cplusplus
}
#endif
#endif
