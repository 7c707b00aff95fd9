/* The C side of the test: the header must compile as C11 without a warning, and everything must work from there. */
#include "holdfast/capi/holdfast.h"

#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                                 \
    do {                                                                                                 \
        if (!(condition)) {                                                                              \
            snprintf(failure, sizeof failure, "line %d: %s: %s", __LINE__, #condition, hf_last_error()); \
            hf_trade_close(trade);                                                                       \
            return failure;                                                                              \
        }                                                                                                \
    } while (0)

/* NULL: all is well. */
const char* hf_check_in_c(const char* address, const char* token) {
    static char failure[512];
    hf_trade* trade = NULL;
    hf_order order = {.size = sizeof order};
    hf_order changes[4] = {{.size = sizeof(hf_order)}};
    hf_signal signal = {.size = sizeof signal};
    hf_tick ticks[2] = {{.size = sizeof(hf_tick)}};
    char id[37], other[37];

    CHECK(hf_api_version() == HF_API_VERSION);
    CHECK(strcmp(hf_code_name(HF_CONFLICT), "HF_CONFLICT") == 0);
    CHECK(hf_uuid(id) == HF_OK && hf_uuid(other) == HF_OK);
    CHECK(strlen(id) == 36 && id[14] == '7' && strcmp(id, other) != 0);

    CHECK(hf_trade_open(NULL, NULL, &trade) == HF_USAGE);
    CHECK(hf_trade_open("tcp:1.2.3.4", NULL, &trade) == HF_USAGE && trade == NULL);
    CHECK(hf_trade_open("http://127.0.0.1:1", "a\nb", &trade) == HF_USAGE && trade == NULL);
    CHECK(hf_trade_open(address, token, &trade) == HF_OK);
    CHECK(hf_trade_set_timeout(trade, 60000) == HF_OK);

    CHECK(hf_trade_submit(trade, NULL, NULL) == HF_USAGE);
    CHECK(hf_trade_submit(trade, &signal, NULL) == HF_USAGE);
    signal.id = id;
    signal.symbol = "EURUSD";
    signal.side = "buy";
    CHECK(hf_trade_submit(trade, &signal, &order) == HF_REFUSED);
    CHECK(strstr(hf_last_error(), "quantity is missing") != NULL);
    signal.quantity = "0.10";
    CHECK(hf_trade_submit(trade, &signal, &order) == HF_OK);
    CHECK(strcmp(order.id, id) == 0 && strcmp(order.state, "accepted") == 0 && strcmp(order.quantity, "0.1") == 0);
    CHECK(hf_trade_submit(trade, &signal, NULL) == HF_DUPLICATE);
    signal.symbol = "say \"x\"";
    CHECK(hf_trade_submit(trade, &signal, NULL) == HF_REFUSED);
    signal.symbol = "GBPUSD";
    CHECK(hf_trade_submit(trade, &signal, NULL) == HF_CONFLICT);

    CHECK(hf_trade_order(trade, id, &order) == HF_OK && strcmp(order.symbol, "EURUSD") == 0);
    CHECK(hf_trade_order(trade, other, &order) == HF_NOT_FOUND);
    CHECK(hf_trade_order(trade, "x y", &order) == HF_USAGE);

    /* The engine of the test publishes what it accepts. */
    CHECK(hf_trade_poll(trade, changes, 4, 30000) == 1);
    CHECK(strcmp(changes[0].id, id) == 0 && changes[0].sequence > 0);
    CHECK(hf_trade_poll(trade, changes, 4, 0) == 0);
    CHECK(hf_trade_seek(trade, 0) == HF_OK);
    CHECK(hf_trade_poll(trade, changes, 4, 0) == 1);

    ticks[0].symbol = ticks[1].symbol = "EURUSD";
    ticks[0].bid = ticks[1].bid = "1.08335";
    ticks[0].ask = ticks[1].ask = "1.08337";
    CHECK(hf_trade_ticks(trade, ticks, 2) == HF_OK);
    ticks[1].ask = "NaN";
    CHECK(hf_trade_ticks(trade, ticks, 2) == HF_REFUSED);
    CHECK(hf_trade_ticks(trade, NULL, 0) == HF_OK);

    hf_trade_close(trade);
    hf_trade_close(NULL);
    return NULL;
}
