/* fuzz_hfdir.c - any bytes as the small files of a model directory: it is read or refused.
 *
 * The input is cut at each 0xFF byte (which JSON never has) into: modules.json, 1_Pooling/config.json, 2_Dense/config.json,
 * sentence_bert_config.json, config_sentence_transformers.json, model.safetensors.index.json. An empty one is left out. The files lie in a
 * folder of this process in memory; a number of tensors of fixed shapes stands where an index may point. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/hfdir.h"
#include "format/weights.h"

static const char *const FILES[] = {"modules.json", "1_Pooling/config.json", "2_Dense/config.json", "sentence_bert_config.json", "config_sentence_transformers.json", "model.safetensors.index.json"};
enum { N_FILES = sizeof FILES / sizeof *FILES };

static void put(const char *dir, const char *name, const void *data, size_t n) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) abort();
}

static const char *folder(void) {
    static char dir[64]; /* left behind: a fuzzer has no end */
    if (*dir) return dir;
    const char *base = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    char path[128];
    snprintf(dir, sizeof dir, "%s/gllm-fuzz-XXXXXX", base);
    if (!mkdtemp(dir)) abort();
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i == 1 ? "1_Pooling" : "2_Dense");
        if (mkdir(path, 0700)) abort();
    }
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    unsigned char file[8 + sizeof header - 1 + 8] = {sizeof header - 1};
    memcpy(file + 8, header, sizeof header - 1);
    put(dir, "part.safetensors", file, sizeof file);
    put(dir, "config.json", "{}", 2);
    return dir;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *dir = folder();
    char path[256];
    for (int i = 0; i < N_FILES; i++) {
        const uint8_t *end = size ? memchr(data, 0xFF, size) : NULL;
        const size_t n = end ? (size_t)(end - data) : size;
        snprintf(path, sizeof path, "%s/%s", dir, FILES[i]);
        if (n) put(dir, FILES[i], data, n);
        else unlink(path);
        data += end ? n + 1 : n;
        size -= end ? n + 1 : n;
    }
    gllm_error err;
    struct hfdir d;
    if (hfdir_open(&d, dir, &err) == GLLM_OK) {
        for (size_t i = 0; i < d.n_modules; i++)
            if (!d.modules[i].path || (d.modules[i].kind == HF_POOLING && !d.modules[i].pooling.n_modes)) abort();
        hfdir_close(&d);
    }
    struct weights *w;
    if (weights_open(&w, dir, &err) == GLLM_OK) weights_close(w);
    return 0;
}
