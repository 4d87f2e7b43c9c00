/* complete.c - gllm completion: scripts for bash, zsh and fish, from the tables of verbs and options. */
#include <string.h>

#include "cli.h"

/* Where `ORG--NAME` folders become ORG/NAME. */
#define MODELS "ls \"${GLLM_HOME:-$HOME/.gllm}/models\" 2>/dev/null | sed 's|--|/|'"

static void words(const char *choices) {
    for (; *choices; choices++) putchar(*choices == '|' ? ' ' : *choices);
}
static void verb_names(void) {
    for (const struct cli_verb *v = cli_verbs; v->name; v++) printf("%s ", v->name);
    fputs("completion man help", stdout);
}

static void bash_value(const struct cli_option *o) {
    if (o->kind == CLI_FLAG || o->kind == CLI_FIELD) return;
    printf("    --%s", o->name);
    if (o->letter) printf(" | -%c", o->letter);
    fputs(") ", stdout);
    if (o->choices) {
        fputs("mapfile -t COMPREPLY < <(compgen -W '", stdout);
        words(o->choices);
        fputs("' -- \"$word\"); ", stdout);
    } else if (o->kind == CLI_FILE) fputs("mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); ", stdout);
    else if (o->kind == CLI_MODEL) fputs("_gllm_models \"$word\"; ", stdout);
    puts("return ;;");
}

static void bash(void) {
    puts("# bash completion for gllm; made by: gllm completion bash\n"
         "_gllm_models() {\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$(" MODELS ")\" -- \"$1\"; compgen -d -- \"$1\")\n"
         "}\n"
         "_gllm() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} options=\n"
         "    COMPREPLY=()\n"
         "    case $before in");
    for (const struct cli_option *o = cli_table; o->name; o++) bash_value(o);
    fputs("    completion) mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$word\"); return ;;\n    esac\n    case $verb in\n", stdout);
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("    %s) options='", v->name);
        const char *gap = "";
        for (const struct cli_option *o = cli_table; o->name; o++)
            if (cli_takes(v, o)) printf("%s--%s", gap, o->name), gap = " ";
        puts("' ;;");
    }
    fputs("    esac\n    if ((COMP_CWORD == 1)); then mapfile -t COMPREPLY < <(compgen -W '", stdout);
    verb_names();
    puts("' -- \"$word\")\n"
         "    elif [[ $word == -* ]]; then mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
         "    elif ((COMP_CWORD == 2)); then _gllm_models \"$word\"\n"
         "    fi\n"
         "}\n"
         "complete -o filenames -F _gllm gllm");
}

/* Text inside '…[…]' of _arguments. */
static void zsh_text(const char *s) {
    for (; *s; s++) {
        if (*s == '\'') fputs("'\\''", stdout);
        else if (strchr("[]:\\", *s)) printf("\\%c", *s);
        else putchar(*s);
    }
}

static void zsh_option(const struct cli_option *o) {
    const char *takes = o->kind == CLI_FLAG ? "" : o->kind == CLI_FIELD ? "=-" : "=";
    if (o->letter) printf("            '(--%s -%c)'{--%s%s,-%c}'[", o->name, o->letter, o->name, takes, o->letter);
    else printf("            '--%s%s[", o->name, takes);
    zsh_text(*o->help ? o->help : o->name);
    putchar(']');
    if (o->kind != CLI_FLAG) {
        printf("%s%s:", o->kind == CLI_FIELD ? "::" : ":", o->name);
        if (o->choices) {
            putchar('(');
            words(o->choices);
            putchar(')');
        } else if (o->kind == CLI_FILE) fputs("_files", stdout);
        else if (o->kind == CLI_MODEL) fputs("_gllm_models", stdout);
        else putchar(' ');
    }
    puts("' \\");
}

static void zsh(void) {
    puts("#compdef gllm\n"
         "# zsh completion for gllm; made by: gllm completion zsh\n"
         "_gllm_models() {\n"
         "    local -a models\n"
         "    models=(${(f)\"$(" MODELS ")\"})\n"
         "    compadd -a models\n"
         "    _files -/\n"
         "}\n"
         "_gllm() {\n"
         "    local -a verbs\n"
         "    verbs=(");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("        '%s:", v->name);
        zsh_text(v->summary);
        puts("'");
    }
    puts("        'completion:Shell completions' 'man:The manual page' 'help:The verbs'\n"
         "    )\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe verb verbs\n"
         "        return\n"
         "    fi\n"
         "    local verb=$words[2]\n"
         "    shift words\n"
         "    ((CURRENT--))\n"
         "    case $verb in");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("    %s)\n        _arguments \\\n", v->name);
        for (const struct cli_option *o = cli_table; o->name; o++)
            if (cli_takes(v, o)) zsh_option(o);
        puts(v->max_operands == 0 ? "            ;;" : "            '1:model:_gllm_models' '*:text: ' ;;");
    }
    puts("    completion) _arguments '1:shell:(bash zsh fish)' ;;\n"
         "    esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _gllm ]; then _gllm \"$@\"; else compdef _gllm gllm; fi");
}

static void fish_text(const char *s) {
    putchar('\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\') putchar('\\');
        putchar(*s);
    }
    putchar('\'');
}

static void fish_option(const struct cli_verb *v, const struct cli_option *o) {
    printf("complete -c gllm -n '__fish_seen_subcommand_from %s' -l %s", v->name, o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (o->kind == CLI_FILE) fputs(" -r -F", stdout);
    else if (o->kind == CLI_MODEL) fputs(" -x -a '(__gllm_models)'", stdout);
    else if (o->kind != CLI_FLAG && o->kind != CLI_FIELD) fputs(" -x", stdout);
    if (o->choices) {
        fputs(" -a '", stdout);
        words(o->choices);
        putchar('\'');
    }
    fputs(" -d ", stdout);
    fish_text(*o->help ? o->help : o->name);
    putchar('\n');
}

static void fish(void) {
    puts("# fish completion for gllm; made by: gllm completion fish\n"
         "function __gllm_models\n"
         "    set -l home $GLLM_HOME\n"
         "    test -n \"$home\"; or set home $HOME/.gllm\n"
         "    ls $home/models 2>/dev/null | string replace -- -- /\n"
         "    __fish_complete_directories\n"
         "end\n"
         "complete -c gllm -f");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("complete -c gllm -n __fish_use_subcommand -a %s -d ", v->name);
        fish_text(v->summary);
        putchar('\n');
        if (v->max_operands) printf("complete -c gllm -n '__fish_seen_subcommand_from %s' -a '(__gllm_models)'\n", v->name);
        for (const struct cli_option *o = cli_table; o->name; o++)
            if (cli_takes(v, o)) fish_option(v, o);
    }
    puts("complete -c gllm -n __fish_use_subcommand -a completion -d 'Shell completions'\n"
         "complete -c gllm -n __fish_use_subcommand -a man -d 'The manual page'\n"
         "complete -c gllm -n __fish_use_subcommand -a help -d 'The verbs'\n"
         "complete -c gllm -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'");
}

int cli_completion(const char *shell) {
    if (!strcmp(shell, "bash")) bash();
    else if (!strcmp(shell, "zsh")) zsh();
    else if (!strcmp(shell, "fish")) fish();
    else return cli_usage("completion: found \"%s\", expected bash, zsh or fish", shell);
    return EXIT_OK;
}
