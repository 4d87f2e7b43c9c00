/* token_bytes.h - the bytes that each token adds to a text, and a trie over them.
 *
 * What a token_stream that leaves special tokens out makes of the ids is the concatenation of their bytes, wherever that is UTF-8. Special
 * tokens add none. The first token of a text may add other bytes than later ones (a decoder that drops a leading space).
 * Built once, then only read. */
#ifndef GLLM_TEXT_TOKEN_BYTES_H
#define GLLM_TEXT_TOKEN_BYTES_H
#include "text/tokenizer.h"

struct token_node { /* in preorder: children ascending by byte follow their node */
    uint32_t skip;  /* the node after the subtree */
    uint32_t first; /* ids[first .. next node's first) are the tokens that end here */
    uint16_t depth; /* bytes from the root, at least 1 */
    uint8_t byte;
};
struct token_table { /* of all tokens that add bytes */
    uint32_t n;        /* ids */
    uint32_t *at;      /* [n + 1] bytes of id: text[at[id] .. at[id + 1]) */
    char *text;
    struct token_node *nodes; /* [n_nodes + 1] the last one ends the lists */
    uint32_t n_nodes, longest;
    int32_t *ids;
};
struct token_bytes {
    struct token_table later, first; /* first.n 0: as later */
};
/* GLLM_UNSUPPORTED: the decoder needs more than one token to tell what it adds. */
gllm_status token_bytes_open(struct token_bytes **out, const struct tokenizer *t, gllm_error *err);
void token_bytes_close(struct token_bytes *b); /* NULL ok */
#endif
