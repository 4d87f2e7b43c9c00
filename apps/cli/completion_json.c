/* completion_json.c - an answer as OpenAI's routes give it: chat.completion, and text_completion for a raw prompt. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/token_text.h"
#include "cli.h"

static void print_number(double v) {
    char text[32];
    cli_float(text, (float)v);
    fputs(text, stdout);
}

/* "token":"…","logprob":-0.1,"bytes":[…]; bytes are null where the token is a part of a character. */
static int print_token(gllm_client *client, int32_t before, int32_t id, float logprob) {
    char *text = token_text(client, NULL, before, id);
    if (!text) return cli_no_memory();
    fputs("{\"token\":", stdout);
    cli_json_text(stdout, text);
    fputs(",\"logprob\":", stdout);
    print_number((double)logprob);
    fputs(",\"bytes\":", stdout);
    if (strstr(text, "\ufffd")) fputs("null", stdout);
    else {
        for (const char *c = text; *c; c++) printf("%c%u", c == text ? '[' : ',', (unsigned)(unsigned char)*c);
        fputs(*text ? "]" : "[]", stdout);
    }
    gllm_text_free(text);
    return EXIT_OK;
}

static int print_chat_logprobs(gllm_client *client, const gllm_completion *c) {
    int status = EXIT_OK;
    fputs("{\"content\":[", stdout);
    for (size_t i = 0; !status && i < c->n_tokens; i++) {
        const int32_t before = i ? c->tokens[i - 1] : -1;
        if (i) putchar(',');
        status = print_token(client, before, c->tokens[i], c->logprobs[i]);
        fputs(",\"top_logprobs\":[", stdout);
        for (size_t k = 0; !status && k < c->n_top; k++) {
            const gllm_token_logprob *t = &c->top[i * c->n_top + k];
            if (k) putchar(',');
            status = print_token(client, before, t->id, t->logprob);
            putchar('}');
        }
        fputs("]}", stdout);
    }
    fputs("],\"refusal\":null}", stdout);
    return status;
}

/* One of the four lists of text_completion's logprobs. */
enum column { TOKENS, TOKEN_LOGPROBS, TOP_LOGPROBS, TEXT_OFFSET };

static int print_cell(gllm_client *client, const gllm_completion *c, enum column column, size_t i, size_t *offset) {
    const int32_t before = i ? c->tokens[i - 1] : -1;
    char *text = token_text(client, NULL, before, c->tokens[i]);
    int status = text ? EXIT_OK : cli_no_memory();
    if (status) return status;
    if (column == TOKENS) cli_json_text(stdout, text);
    else if (column == TOKEN_LOGPROBS) print_number((double)c->logprobs[i]);
    else if (column == TEXT_OFFSET) {
        printf("%zu", *offset);
        for (const char *s = text; *s; s++) *offset += ((unsigned char)*s & 0xc0) != 0x80;
    } else {
        putchar('{');
        for (size_t k = 0; !status && k < c->n_top; k++) {
            const gllm_token_logprob *t = &c->top[i * c->n_top + k];
            char *other = token_text(client, NULL, before, t->id);
            if (k) putchar(',');
            if (other) cli_json_text(stdout, other);
            else status = cli_no_memory();
            putchar(':');
            print_number((double)t->logprob);
            gllm_text_free(other);
        }
        putchar('}');
    }
    gllm_text_free(text);
    return status;
}

static int print_raw_logprobs(gllm_client *client, const gllm_completion *c) {
    static const char *const NAMES[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    int status = EXIT_OK;
    for (unsigned column = TOKENS; !status && column <= TEXT_OFFSET; column++) {
        size_t offset = 0;
        printf("%c\"%s\":[", column ? ',' : '{', NAMES[column]);
        for (size_t i = 0; !status && i < c->n_tokens; i++) {
            if (i) putchar(',');
            status = print_cell(client, c, (enum column)column, i, &offset);
        }
        putchar(']');
    }
    putchar('}');
    return status;
}

static void print_head(const gllm_completion *c, bool chat) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("{\"id\":\"%s-%08llx%08lx%08x\",\"object\":\"%s\",\"created\":%lld,\"model\":", chat ? "chatcmpl" : "cmpl", (unsigned long long)now.tv_sec, (unsigned long)now.tv_nsec,
           (unsigned)getpid(), chat ? "chat.completion" : "text_completion", (long long)now.tv_sec);
    cli_json_text(stdout, c->model);
}

int cli_print_completion(gllm_client *client, const gllm_completion *c, bool chat) {
    int status = EXIT_OK;
    print_head(c, chat);
    fputs(chat ? ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" : ",\"choices\":[{\"index\":0,\"text\":", stdout);
    cli_json_bytes(stdout, c->text.ptr, c->text.len);
    fputs(chat ? "},\"logprobs\":" : ",\"logprobs\":", stdout);
    if (!c->logprobs) fputs("null", stdout);
    else status = chat ? print_chat_logprobs(client, c) : print_raw_logprobs(client, c);
    printf(",\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%zu,\"total_tokens\":%zu,\"prompt_tokens_details\":{\"cached_tokens\":%u}}}\n",
           c->finish == GLLM_FINISH_STOP ? "stop" : "length", c->prompt_tokens, c->n_tokens, c->prompt_tokens + c->n_tokens, c->cached_tokens);
    return status;
}
