/* For a program that has a DuckDB database open: checkpoints of which no commit is lost to `holdfast duckdb watch`, and consistent copies
 * through the program's own connection. In C, and in whatever can call C.
 *
 *   link       -lholdfast_duckdb. Not libduckdb: SQL runs through a function of yours, on a connection of yours
 *   hooks      a checkpoint takes the log away, and between two looks of the keeper commits may pass through it. Asked before and after,
 *              the keeper keeps a state with every commit of the old log, and one of the new blocks
 *   copies     for `holdfast backup` of what nobody can read from outside: a database in memory, an encrypted one, one on another
 *              file system. The copy is of one transaction, durable, and appears under its name only whole: name it in [[duckdb]]
 *   never      open the database's file yourself while DuckDB has it: closing it drops DuckDB's lock. This library does not
 *   errors     a negative hfd_code; hfd_last_error() has a sentence. No code of a hook is a reason not to checkpoint
 *   threads    any; the connection behind `run` is used by the calling thread only
 *   ABI        functions and codes are never changed or removed; structs grow at their end, and `size` says which ones the
 *              caller knows: set it to sizeof the struct
 */
#ifndef HOLDFAST_DUCKDB_H
#define HOLDFAST_DUCKDB_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HFD_API __attribute__((visibility("default")))
#else
#define HFD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HFD_API_VERSION 1

typedef enum hfd_code {
    HFD_OK = 0,
    HFD_NOBODY = 1, /* a hook: no keeper watches this database */
    HFD_USAGE = -1, /* an argument is missing or malformed */
    HFD_SQL = -2, /* a statement failed: what it said is in hfd_last_error(); nothing was put at `to` */
    HFD_IO = -3, /* the disk or the rights; nothing was put at `to` */
    HFD_LATE = -4, /* a hook: the keeper did not answer in time */
    HFD_FAILED = -5, /* a hook: the keeper could not keep a state; it says why */
    HFD_INTERNAL = -10
} hfd_code;

/* Runs one statement. 0: done. Anything else: it failed, and `error` has why, with a 0 at its end. */
typedef int (*hfd_run)(void* context, const char* sql, char* error, size_t error_size);

typedef struct hfd_owner {
    size_t size; /* sizeof(hfd_owner) */
    hfd_run run; /* NULL: no function that runs SQL may be called */
    void* context; /* given to `run` */
    const char* file; /* of the database, absolute, as [[duckdb]] names it; NULL: nobody keeps states of it */
    const char* states_folder; /* as in [[duckdb]]; NULL: beside the file */
} hfd_owner;

HFD_API int hfd_api_version(void);
/* "HFD_OK" */
HFD_API const char* hfd_code_name(int code);
/* What the newest failed call on this thread says. Valid until the thread's next call. */
HFD_API const char* hfd_last_error(void);

/* Before a checkpoint: every commit acknowledged by now is in a durable state when it returns HFD_OK. Waits for the keeper, at most
 * that many milliseconds. */
HFD_API hfd_code hfd_before_checkpoint(const hfd_owner* owner, unsigned timeout_ms);
/* After it: a state of the new blocks is kept. */
HFD_API hfd_code hfd_after_checkpoint(const hfd_owner* owner, unsigned timeout_ms);
/* The three of them: the hook, CHECKPOINT, the hook. HFD_SQL: the checkpoint failed. Else what the worse of the two hooks said; the
 * checkpoint was made in any case. */
HFD_API hfd_code hfd_checkpoint(const hfd_owner* owner, unsigned timeout_ms);

/* COPY FROM DATABASE `database` (its name in SQL: the file's without its end, "memory" for one in memory) to the file `to`, in one
 * transaction of the owner's connection, which must not be in one already. What stood at `to` is replaced by rename. A log beside
 * it is an error: it would be replayed into the new one. Costs a read
 * of all rows in the owner's process, and does not block its other connections. */
HFD_API hfd_code hfd_copy(const hfd_owner* owner, const char* database, const char* to);

#ifdef __cplusplus
}
#endif
#endif
