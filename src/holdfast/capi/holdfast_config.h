/* Write and load a configuration file so that no crash loses it: for the program that owns the file, in C and in whatever can call C.
 *
 *   link       -lholdfast_config
 *   promise    after HFC_OK from hfc_write the content is durable, under its name and as a version; whoever reads the file meanwhile
 *              sees all of the old or all of the new content. hfc_load gives the file if it is well-formed, else the newest good
 *              version; the file itself is not changed by it
 *   formats    JSON, TOML, .env: by the file's name unless told (docs/formats/configuration-versions.md)
 *   versions   where `holdfast config` finds them: ".holdfast" beside the file unless told. 0600, the last 5 unless told
 *   errors     a negative hfc_code; hfc_last_error() has a sentence, with file:line:column if the content is bad
 *   threads    any; several processes may write one file: each write is whole, the last one stays
 *   ABI        functions and codes are never changed or removed; structs grow at their end, and `size` says which ones the
 *              caller knows: set it to sizeof the struct
 */
#ifndef HOLDFAST_CONFIG_H
#define HOLDFAST_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HFC_API __attribute__((visibility("default")))
#else
#define HFC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HFC_API_VERSION 1

typedef enum hfc_code {
    HFC_OK = 0,
    HFC_USAGE = -1, /* an argument is missing or malformed, or the format does not show in the file's name */
    HFC_INVALID = -2, /* hfc_write: the content is not well-formed; nothing was changed */
    HFC_TOO_LONG = -3, /* hfc_write: more than size_max; nothing was changed */
    HFC_NOT_FOUND = -4, /* hfc_load: neither a good file nor a good version is there */
    HFC_IO = -5, /* the disk or the rights: the file is as it was, or has the new content; write it again */
    HFC_INTERNAL = -10
} hfc_code;

/* What is 0 or NULL is as `holdfast config` has it by default. */
typedef struct hfc_options {
    size_t size; /* sizeof(hfc_options) */
    const char* format; /* "json", "toml", "env", "text" */
    const char* versions_folder; /* as versions_folder in [[keep]] */
    unsigned versions; /* how many are kept; 0: 5 */
    size_t size_max; /* bytes; 0: 1 MiB */
} hfc_options;

typedef struct hfc_loaded {
    size_t size; /* sizeof(hfc_loaded); set it before the call */
    char* data; /* with a 0 behind its end; hfc_free() it */
    size_t length;
    uint64_t version; /* 0: the file itself; else the version that had to stand in for it */
} hfc_loaded;

HFC_API int hfc_api_version(void);
/* "HFC_INVALID" */
HFC_API const char* hfc_code_name(int code);
/* What the newest failed call on this thread says; after an hfc_load that took a version: why not the file. Valid until the
 * thread's next call. */
HFC_API const char* hfc_last_error(void);

/* Checks the content, keeps it as a version, and puts it in place: written beside, fsync, rename, fsync of the folder. Links are
 * followed; mode and owner stay; a new file is 0600. `options` may be NULL. */
HFC_API hfc_code hfc_write(const char* path, const void* data, size_t length, const hfc_options* options);
HFC_API hfc_code hfc_load(const char* path, const hfc_options* options, hfc_loaded* loaded);
HFC_API void hfc_free(char* data);

#ifdef __cplusplus
}
#endif
#endif
