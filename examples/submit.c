/* Hands one signal to the engine, again and again until it is certain that the engine has it, then waits for the order's end.
 *
 *     cc -o submit submit.c -lholdfast_trade
 *     ./submit unix:/run/holdfast/ACCOUNT.sock EURUSD buy 0.10
 */
#include <holdfast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int is_closed(const char* state) {
    static const char* const closed[] = {"filled", "rejected", "cancelled", "expired", "failed"};
    for (size_t i = 0; i < sizeof closed / sizeof *closed; ++i)
        if (strcmp(state, closed[i]) == 0) return 1;
    return 0;
}

int main(int argc, char** argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: %s ADDRESS SYMBOL buy|sell QUANTITY\n", argv[0]);
        return 2;
    }
    hf_trade* trade = NULL;
    /* A token only matters over http; it comes from the environment, because arguments are everybody's to see. */
    if (hf_trade_open(argv[1], getenv("HOLDFAST_TOKEN"), &trade) != HF_OK) {
        fprintf(stderr, "%s\n", hf_last_error());
        return 2;
    }

    char id[37];
    if (hf_uuid(id) != HF_OK) return 1;
    hf_signal signal = {.size = sizeof signal};
    signal.id = id; /* once, and kept for every attempt */
    signal.symbol = argv[2];
    signal.side = argv[3];
    signal.quantity = argv[4];

    hf_order order = {.size = sizeof order};
    hf_code code = hf_trade_submit(trade, &signal, &order);
    for (int i = 0; i < 10 && (code == HF_UNAVAILABLE || code == HF_UNREACHABLE); ++i) {
        const struct timespec pause = {0, 200000000};
        nanosleep(&pause, NULL);
        code = hf_trade_submit(trade, &signal, &order);
    }
    if (code < 0) {
        fprintf(stderr, "%s: %s\n", hf_code_name(code), hf_last_error());
        hf_trade_close(trade);
        return 1;
    }
    printf("%s %s\n", id, order.state);

    while (!is_closed(order.state)) {
        hf_order changes[16] = {{.size = sizeof(hf_order)}};
        const int count = hf_trade_poll(trade, changes, 16, 5000);
        if (count == HF_GAP) {
            /* Some were missed: ask for ours. */
            code = hf_trade_order(trade, id, &order);
            if (code < 0) break;
        } else if (count < 0) {
            code = (hf_code)count;
            break;
        }
        for (int i = 0; i < count; ++i)
            if (strcmp(changes[i].id, id) == 0) {
                order = changes[i];
                printf("%s %s filled %s %s\n", id, order.state, order.filled, order.reason);
            }
    }
    if (code < 0) fprintf(stderr, "%s: %s\n", hf_code_name(code), hf_last_error());
    hf_trade_close(trade);
    return code < 0;
}
