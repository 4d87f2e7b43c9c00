/* main.c - gllm: the table of verbs. */
#include <signal.h>
#include <string.h>

#include "cli.h"

static const struct cli_verb VERBS[] = {
    {"embed", "embed MODEL [TEXT…] [options]", "One vector a text, from the arguments or from standard input, one text a line.", "jepid",
     "  gllm embed all-MiniLM-L6-v2 \"a quiet street\" \"a silent road\"\n  gllm embed all-MiniLM-L6-v2 --format npy --out v.npy < texts.txt\n", verb_embed, 1},
    {"similar", "similar MODEL TEXT TEXT… [options]", "The cosine of the first text with each other one.", "jpid",
     "  gllm similar all-MiniLM-L6-v2 \"feline\" \"a cat\" \"a car\"\n", verb_similar, 1},
    {"tokenize", "tokenize MODEL [TEXT…] [options]", "One JSON array of token ids a text; --decode is the way back.", "tid",
     "  gllm tokenize all-MiniLM-L6-v2 \"unbelievable\" --pieces\n  gllm tokenize all-MiniLM-L6-v2 --decode 101 7592 102\n", verb_tokenize, 1},
    {"info", "info MODEL [options]", "What a model is, and the memory that it takes on each device.", "jmcd",
     "  gllm info all-MiniLM-L6-v2 --ctx 256 --batch 32\n  gllm info all-MiniLM-L6-v2 --tensors\n", verb_info, 1},
    {"bench", "bench MODEL [options]", "Measures, with the machine's own peaks beside it.", "jcbd",
     "  gllm bench all-MiniLM-L6-v2 --length 128 --batch 32\n", verb_bench, 1},
    {"doctor", "doctor [options]", "Devices, instruction sets, memory, and what each backend lacks.", "j", "  gllm doctor\n  gllm doctor --json\n", verb_doctor, 0},
};
enum { N_VERBS = sizeof VERBS / sizeof *VERBS };

static void overview(FILE *f) {
    fprintf(f, "gllm %s - local embeddings\nusage: gllm VERB MODEL [INPUT…] [options]\n\n", gllm_version_string());
    for (unsigned i = 0; i < N_VERBS; i++) fprintf(f, "  %-9s %s\n", VERBS[i].name, VERBS[i].summary);
    fprintf(f, "\nMODEL is a directory, ORG/NAME or NAME under $GLLM_HOME/models (default ~/.gllm).\n'gllm VERB --help' tells a verb's options.\n");
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_DFL);
    if (argc < 2) {
        overview(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help") || !strcmp(argv[1], "-h")) {
        overview(stdout);
        return cli_close_output(stdout, "standard output");
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
        printf("gllm %s\n", gllm_version_string());
        return cli_close_output(stdout, "standard output");
    }
    for (unsigned i = 0; i < N_VERBS; i++) {
        if (strcmp(argv[1], VERBS[i].name)) continue;
        struct cli_options o;
        int status = cli_options_parse(&VERBS[i], argc - 2, argv + 2, &o);
        if (!status && o.help) {
            cli_help(&VERBS[i]);
            status = cli_close_output(stdout, "standard output");
        } else if (!status) status = VERBS[i].run(&VERBS[i], &o);
        cli_options_free(&o);
        return status;
    }
    static const char *const LATER[] = {"rerank", "run", "perplexity", "models", "pull", "rm", "serve"};
    for (unsigned i = 0; i < sizeof LATER / sizeof *LATER; i++)
        if (!strcmp(argv[1], LATER[i])) return cli_usage("%s is not in this version (%s); it has embed, similar, tokenize, info, bench and doctor", argv[1], gllm_version_string());
    return cli_usage("unknown verb \"%s\" (see gllm --help)", argv[1]);
}
