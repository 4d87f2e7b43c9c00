/* man.c - gllm man: the manual page in roff, from the tables of verbs and options. */
#include <string.h>

#include "cli.h"

static void roff(const char *s) {
    for (bool start = true; *s; start = *s++ == '\n') {
        if (start && (*s == '.' || *s == '\'')) fputs("\\&", stdout);
        if (*s == '\\') fputs("\\e", stdout);
        else if (*s == '-') fputs("\\-", stdout);
        else if (!strncmp(s, "…", strlen("…"))) {
            fputs("...", stdout);
            s += strlen("…") - 1;
        } else putchar(*s);
    }
}

static void option(const struct cli_option *o) {
    char text[256];
    printf(".TP\n.B \\-\\-");
    roff(o->name);
    if (o->letter) printf(", \\-%c", o->letter);
    if (o->value) {
        fputs("\n.I ", stdout);
        roff(o->value);
    }
    putchar('\n');
    cli_option_text(o, text, sizeof text);
    roff(text);
    puts(".");
}

static void verb(const struct cli_verb *v) {
    fputs(".SS gllm ", stdout);
    roff(v->usage);
    putchar('\n');
    roff(v->summary);
    putchar('\n');
    for (const struct cli_option *o = cli_table; o->name; o++)
        if (cli_takes(v, o) && o->group != 'a' && o->group != 'd') option(o);
    fputs(".PP\n.nf\n.RS\n", stdout);
    roff(v->examples);
    puts(".RE\n.fi");
}

static void options_of(char group) {
    for (const struct cli_option *o = cli_table; o->name; o++)
        if (o->group == group) option(o);
}

void cli_man(void) {
    printf(".TH GLLM 1 \"\" \"gllm %s\" \"User Commands\"\n", gllm_version_string());
    fputs(".SH NAME\ngllm \\- local text embeddings and text generation\n"
          ".SH SYNOPSIS\n.B gllm\n.I VERB MODEL\n[\\fIINPUT\\fR...] [\\fIoptions\\fR]\n"
          ".SH DESCRIPTION\n"
          "Runs embedding models and generators in this process, without a server.\n"
          ".I MODEL\nis a directory, or\n.I ORG/NAME\nor\n.I NAME\nof a folder under $GLLM_HOME/models or in the Hugging Face cache, or an alias that gllm models lists, with :QUANT for a quantised form.\n"
          "A .gguf file is a model, too.\n"
          "Texts are arguments; without any, or with \\-, they are read from standard input, one a line.\n"
          "Results go to standard output, everything else to standard error. \\-\\- ends the options.\n"
          ".SH VERBS\n",
          stdout);
    for (const struct cli_verb *v = cli_verbs; v->name; v++) verb(v);
    puts(".SS gllm completion bash|zsh|fish\nA completion script on standard output.\n.SS gllm man\nThis page in roff.");
    puts(".SH OPTIONS OF EVERY VERB\nThe first four choose how a model is run.");
    options_of('d');
    options_of('a');
    fputs(".SH CONVERSATION\n"
          "gllm run MODEL on a terminal is a conversation. Ctrl\\-C stops an answer, Ctrl\\-D leaves, /help lists the commands.\n"
          "What is typed is kept in $GLLM_HOME/history, readable by its owner alone.\n"
          ".SH ENVIRONMENT\n"
          ".TP\n.B GLLM_HOME\nThe model folder's parent; default ~/.gllm.\n"
          ".TP\n.B GLLM_BACKEND\nWhat \\-\\-backend says when it is not given.\n"
          ".TP\n.B GLLM_THREADS\nWhat \\-\\-threads says when it is not given.\n"
          ".TP\n.B HF_HUB_CACHE, HF_HOME\nWhere the Hugging Face cache lies; default ~/.cache/huggingface/hub.\n"
          ".TP\n.B HF_ENDPOINT, HF_TOKEN\nWhere models are fetched from (https://huggingface.co, or a server that speaks as it or as ModelScope does), and the token that is sent there; else the "
          "one that the Hugging Face command line keeps.\n"
          ".TP\n.B HF_HUB_OFFLINE\nWhen 1, nothing is fetched.\n"
          ".TP\n.B HF_HUB_DOWNLOAD_TIMEOUT\nSeconds without a byte after which a connection is given up and begun again; 20.\n"
          ".TP\n.B https_proxy, http_proxy, no_proxy, CURL_CA_BUNDLE\nAs curl reads them.\n"
          ".TP\n.B NO_COLOR\nWhen set, no colours on a terminal.\n"
          ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 130 interrupted with Ctrl\\-C (128 + the signal's number).\n",
          stdout);
}
