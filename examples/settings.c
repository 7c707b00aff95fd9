/* An owner of a JSON file: sets one value and survives a file that somebody broke.
 *
 *     cc settings.c -lholdfast_config -o settings
 *     ./settings /etc/mt5/config/ea.json '{"lots": 0.2}'      writes
 *     ./settings /etc/mt5/config/ea.json                      prints what is to be used
 */
#include <holdfast_config.h>

#include <stdio.h>
#include <string.h>

int main(int count, char** words) {
    hfc_options options = {.size = sizeof options, .versions = 3, .size_max = 10 * 1024};
    hfc_code code;
    if (count < 2 || count > 3) {
        fprintf(stderr, "usage: settings FILE [CONTENT]\n");
        return 2;
    }
    if (count == 3) {
        code = hfc_write(words[1], words[2], strlen(words[2]), &options);
    } else {
        hfc_loaded loaded = {.size = sizeof loaded};
        code = hfc_load(words[1], &options, &loaded);
        if (code == HFC_OK) {
            if (loaded.version != 0)
                fprintf(stderr, "version %llu stands in: %s\n", (unsigned long long)loaded.version, hfc_last_error());
            fwrite(loaded.data, 1, loaded.length, stdout);
        }
        hfc_free(loaded.data);
    }
    if (code != HFC_OK) fprintf(stderr, "%s: %s\n", hfc_code_name(code), hfc_last_error());
    return code == HFC_OK ? 0 : 1;
}
