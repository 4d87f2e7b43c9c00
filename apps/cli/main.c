/* main.c - gllm: the table of verbs. */
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "cli.h"

const struct cli_verb cli_verbs[] = {
    {"embed", "embed MODEL [TEXT…] [options]", "One vector a text; texts are arguments or lines of standard input.", "jeupid",
     "gllm embed all-MiniLM-L6-v2 \"a quiet street\" \"a silent road\"\n"
     "gllm embed all-MiniLM-L6-v2 --format npy --out v.npy < texts.txt\n",
     verb_embed, 1, SIZE_MAX},
    {"similar", "similar MODEL TEXT TEXT… [options]", "The cosine of the first text with each other one; of sparse vectors the product, of token vectors MaxSim.", "jpid",
     "gllm similar all-MiniLM-L6-v2 \"feline\" \"a cat\" \"a car\"\n", verb_similar, 1, SIZE_MAX},
    {"rerank", "rerank MODEL QUERY [DOCUMENT…] [options]", "Documents by relevance; they are arguments or lines of standard input.", "jkuixd",
     "gllm rerank ms-marco-MiniLM-L6-v2 \"why is the sky blue\" \"Rayleigh scattering\" \"a blue car\"\n"
     "gllm rerank ms-marco-MiniLM-L6-v2 \"tides\" --top-n 5 < passages.txt\n"
     "gllm rerank Qwen2.5-Coder-0.5B-Instruct-GGUF \"tides\" --as-judge < passages.txt\n",
     verb_rerank, 2, SIZE_MAX},
    {"classify", "classify MODEL [TEXT…] [options]", "The labels of texts, the likeliest first: INDEX, SCORE, LABEL a line.", "jykuid",
     "gllm classify cardiffnlp/twitter-roberta-base-sentiment-latest \"what a day\"\n"
     "gllm classify cross-encoder/nli-roberta-base \"a man eats\" --pair \"someone eats\" --top-n 1\n",
     verb_classify, 1, SIZE_MAX},
    {"tokenize", "tokenize MODEL [TEXT…] [options]", "One JSON array of token ids a text; --decode is the way back.", "tyid",
     "gllm tokenize all-MiniLM-L6-v2 \"unbelievable\" --pieces\n"
     "gllm tokenize all-MiniLM-L6-v2 --decode 101 7592 102\n",
     verb_tokenize, 1, SIZE_MAX},
    {"run", "run MODEL [PROMPT] [options]", "Answers a prompt, or converses on a terminal.", "jrsxvd",
     "gllm run model.gguf \"Name three rivers.\" --temperature 0.7\n"
     "gllm run model.gguf --raw \"The capital of France is\"\n",
     verb_run, 1, 2},
    {"serve", "serve MODEL… [options]", "Answers over HTTP: embeddings, reranking, chat. The first MODEL is the default; NAME=MODEL names one.", "hpxvd",
     "gllm serve all-MiniLM-L6-v2\n"
     "gllm serve embed=bge-small-en chat=model.gguf --host 0.0.0.0 --api-key-file keys\n",
     verb_serve, 1, SIZE_MAX},
    {"perplexity", "perplexity MODEL [FILE] [options]", "How likely a model finds a text.", "lxvd",
     "gllm perplexity model.gguf text.txt\n"
     "gllm perplexity model.gguf --each < text.txt\n",
     verb_perplexity, 1, 2},
    {"info", "info MODEL [options]", "What a model is, and the memory that it takes on each device.", "jmcvd",
     "gllm info all-MiniLM-L6-v2 --ctx 256 --batch 32\n"
     "gllm info all-MiniLM-L6-v2 --tensors\n",
     verb_info, 1, 1},
    {"models", "models [options]", "What has an alias, and what is on this machine.", "jo",
     "gllm models --local\n"
     "gllm models --json | jq '.data[] | select(.task == \"rerank\").id'\n",
     verb_models, 0, 0},
    {"pull", "pull MODEL… [options]", "Fetches models, and tells where each lies.", "f",
     "gllm pull bge-small-en\n"
     "gllm pull qwen3-8b --quant awq\n"
     "gllm pull Qwen/Qwen3-4B-GGUF:Q4_K_M\n",
     verb_pull, 1, SIZE_MAX},
    {"rm", "rm MODEL… [options]", "Removes models from the model folder.", "",
     "gllm rm bge-small-en\n"
     "gllm rm Qwen/Qwen3-4B-GGUF:Q4_K_M\n",
     verb_rm, 1, SIZE_MAX},
    {"bench", "bench MODEL [options]", "Measures, with the machine's own peaks beside it.", "jcbvd",
     "gllm bench all-MiniLM-L6-v2 --length 128 --batch 32\n"
     "gllm bench model.gguf --prompt 512 --gen 64\n",
     verb_bench, 1, 1},
    {"doctor", "doctor [options]", "Devices, instruction sets, memory, and what each backend lacks.", "jqd",
     "gllm doctor\n"
     "gllm doctor --parity all-MiniLM-L6-v2\n"
     "gllm doctor --parity\n",
     verb_doctor, 0, 0},
    {0},
};

static const struct cli_verb *find(const char *name) {
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        if (!strcmp(v->name, name)) return v;
    return NULL;
}

static int unknown(const char *word) {
    enum { N_VERBS = sizeof cli_verbs / sizeof *cli_verbs - 1 };
    const char *names[N_VERBS + 4] = {[N_VERBS] = "completion", "man", "help"};
    for (unsigned i = 0; i < N_VERBS; i++) names[i] = cli_verbs[i].name;
    if (*word == '-') return cli_usage("found %s where a verb is expected: gllm VERB MODEL [INPUT…] [options]", word);
    const char *hint = cli_nearest(word, names);
    if (hint) return cli_usage("unknown verb \"%s\"; did you mean %s?", word, hint);
    return cli_usage("unknown verb \"%s\" (see gllm --help)", word);
}

/* help, version, man, completion: what needs no model. False: argv[1] is none of them. */
static bool meta(int argc, char **argv, int *status) {
    const char *word = argv[1];
    *status = EXIT_OK;
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || (!strcmp(word, "help") && argc == 2)) cli_overview(stdout);
    else if (!strcmp(word, "help") && find(argv[2])) cli_help(find(argv[2]));
    else if (!strcmp(word, "help")) *status = unknown(argv[2]);
    else if (!strcmp(word, "--version") || !strcmp(word, "version")) printf("gllm %s\n", gllm_version_string());
    else if (!strcmp(word, "man")) cli_man();
    else if (!strcmp(word, "completion")) *status = cli_completion(argc > 2 ? argv[2] : "");
    else return false;
    if (!*status) *status = cli_flush(stdout, "standard output");
    return true;
}

int main(int argc, char **argv) {
    int status;
    signal(SIGPIPE, SIG_DFL); /* a reader that has enough ends us, as it ends every filter */
    if (argc < 2) {
        cli_overview(stderr);
        return EXIT_USAGE;
    }
    if (meta(argc, argv, &status)) return status;
    const struct cli_verb *v = find(argv[1]);
    if (!v) return unknown(argv[1]);
    struct cli_options o;
    status = cli_options_parse(v, argc - 2, argv + 2, &o);
    if (!status && o.help) {
        cli_help(v);
        status = cli_flush(stdout, "standard output");
    } else if (!status) status = v->run(&o);
    cli_options_free(&o);
    return status;
}
