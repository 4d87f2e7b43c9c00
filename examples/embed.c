/* embed.c - the smallest program: how alike are two texts?
 * usage: embed MODEL TEXT TEXT        cc embed.c $(pkg-config --cflags --libs gllm) */
#include <stdio.h>

#include <gllm.h>

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL TEXT TEXT\n", argv[0]);
        return 2;
    }
    gllm_error err = {0};
    gllm_client *client = NULL;
    gllm_options options;
    gllm_options_init(&options);
    options.model = argv[1];
    if (gllm_client_open(&client, &options, &err) != GLLM_OK) {
        fprintf(stderr, "embed: %s\n", err.message);
        return 1;
    }

    gllm_str texts[] = {{argv[2], GLLM_NTS}, {argv[3], GLLM_NTS}};
    gllm_embeddings *vectors = NULL;
    gllm_embed_request request;
    gllm_embed_request_init(&request);
    request.inputs = texts;
    request.n_inputs = 2;
    request.normalize = GLLM_NORMALIZE_ON; /* unit length: the dot product is the cosine */
    gllm_status status = gllm_embed(client, &request, &vectors, &err);
    if (status == GLLM_OK) {
        double cosine = 0;
        for (size_t i = 0; i < vectors->dim; i++) cosine += (double)vectors->data[i] * vectors->data[vectors->dim + i];
        printf("%.4f\n", cosine);
    } else {
        fprintf(stderr, "embed: %s\n", err.message);
    }
    gllm_embeddings_free(vectors);
    gllm_client_close(client);
    return status != GLLM_OK;
}
