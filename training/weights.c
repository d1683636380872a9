/* Gradients of the weights of linear layers, on processors with a matrix unit. See training/linear.py.

   Both factors of such a product are read against the grain: it adds up over tokens, which are rows of both. Here
   blocks of them are laid out for the matrix unit first, small enough to stay in the cache until they have been used. */

#include "amx.h"

#if AMX

#include <sys/syscall.h>
#include <unistd.h>

#define TOKENS 512  /* laid out at once */
#define COLUMNS 384 /* of either factor, at most, laid out at once */

/* Whether this processor's matrix unit may be used: the system wants to be asked once a process. */
int amx_ready(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* weight [outputs, inputs] = grad^T * input, and bias [outputs], unless it is null, what grad's rows add up to; grad and
   input in bf16 of `tokens` rows. outputs and inputs are multiples of 32. 0, or 1 without memory. */
int weight_gradient(const Matrix *grad, const Matrix *input, float *weight, float *bias, int64_t tokens, int64_t outputs, int64_t inputs, int64_t threads) {
    int failed = 0;
    if (bias) memset(bias, 0, outputs * sizeof(float));
    if (!tokens) memset(weight, 0, outputs * inputs * sizeof(float));
    int64_t parts = threads > 1 ? least(threads, outputs / DEEP) : 1, part = (outputs / DEEP + parts - 1) / parts * DEEP;
#pragma omp parallel for num_threads(threads) reduction(| : failed)
    for (int64_t begin = 0; begin < outputs; begin += part) {
        int64_t end = least(begin + part, outputs);
        char *left = (char *)room_for(2 * COLUMNS * TOKENS * sizeof(uint16_t) / sizeof(float)), *right = left + COLUMNS * TOKENS * sizeof(uint16_t);
        if (!left) { failed = 1; continue; }
        TileConfig theirs = use_tiles();
        for (int64_t token = 0; token < tokens; token += TOKENS) {
            int64_t count = least(TOKENS, tokens - token), deep = (count + DEEP - 1) / DEEP;
            for (int64_t o = begin; o < end; o += COLUMNS)
                for (int64_t i = 0; i < inputs; i += COLUMNS) {
                    int64_t rows = least(COLUMNS, end - o), columns = least(COLUMNS, inputs - i);
                    const uint16_t *g = (const uint16_t *)grad->data + token * grad->stride + o;
                    const uint16_t *x = (const uint16_t *)input->data + token * input->stride + i;
                    if (!i) lay_out(left, g, grad->stride, count, rows, 1, bias ? bias + o : 0);
                    if (o == begin || inputs > COLUMNS) lay_out(right, x, input->stride, count, columns, 0, 0);
                    multiply(weight + o * inputs + i, inputs, of_tiles(left, deep), right, rows, columns, deep, token > 0);
                }
        }
        _tile_loadconfig(&theirs);
    }
    return failed;
}

#else

int amx_ready(void) { return 0; }
int weight_gradient(const Matrix *grad, const Matrix *input, float *weight, float *bias, int64_t tokens, int64_t outputs, int64_t inputs, int64_t threads) { return 1; }

#endif
