/* Gradients of the weights of linear layers, on processors with matrix units (AMX). See training/linear.py.

   Both factors of such a product are read against the grain: it adds up over tokens, which are rows of both. Here
   blocks of them are laid out for the matrix unit first, small enough to stay in the cache until they have been used. */

#include "kernel.h"

#if defined(__AMX_BF16__) && defined(__AVX512BW__) && defined(__linux__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILE 16                /* rows of a tile; of 32 numbers in bf16 or 16 in float32 */
#define DEEP 32                /* tokens that one tile multiplies */
#define TOKENS 512             /* laid out at once */
#define COLUMNS 384            /* of either factor, at most, laid out at once */
#define TILES (TOKENS / DEEP)  /* behind each other, of the same columns */
#define TILE_BYTES (TILE * 64)

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64))) TileConfig;

/* Whether this processor's matrix unit may be used: the system wants to be asked once a process. */
int amx_ready(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* Row k of 16 columns, 2k and 2k + 1 of `count` tokens side by side; beyond the last, zeros. */
INLINE __m512i pair(const uint16_t *from, int64_t stride, int64_t count, int64_t k) {
    __m512i even = {}, odd = {};
    if (2 * k < count) even = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(from + 2 * k * stride)));
    if (2 * k + 1 < count) odd = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(from + (2 * k + 1) * stride)));
    return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
}

/* A 16 x 16 block of 32 bit numbers the other way round. */
INLINE void turn(__m512i x[TILE]) {
    __m512i y[TILE];
    for (int i = 0; i < TILE; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < TILE; i += 4)
        for (int k = 0; k < 2; k++) {
            x[i + 2 * k] = _mm512_unpacklo_epi64(y[i + k], y[i + k + 2]);
            x[i + 2 * k + 1] = _mm512_unpackhi_epi64(y[i + k], y[i + k + 2]);
        }
    for (int k = 0; k < 4; k++) {
        __m512i even = _mm512_shuffle_i32x4(x[k], x[k + 4], 0x88), odd = _mm512_shuffle_i32x4(x[k], x[k + 4], 0xdd);
        __m512i more = _mm512_shuffle_i32x4(x[k + 8], x[k + 12], 0x88), most = _mm512_shuffle_i32x4(x[k + 8], x[k + 12], 0xdd);
        y[k] = _mm512_shuffle_i32x4(even, more, 0x88), y[k + 8] = _mm512_shuffle_i32x4(even, more, 0xdd);
        y[k + 4] = _mm512_shuffle_i32x4(odd, most, 0x88), y[k + 12] = _mm512_shuffle_i32x4(odd, most, 0xdd);
    }
    memcpy(x, y, sizeof y);
}

/* `columns` of `tokens` rows as tiles, those of the same columns behind each other: as the right factor and, turned, as
   the left one. Of the latter `sums` [columns], unless it is null, is what each column adds up to, and more is added. */
static void lay_out(char *to, const uint16_t *from, int64_t stride, int64_t tokens, int64_t columns, int left, float *sums) {
    int64_t strip = (tokens + DEEP - 1) / DEEP * TILE_BYTES;
    for (int64_t first = 0; first < tokens; first += DEEP, to += TILE_BYTES, from += DEEP * stride)
        for (int64_t column = 0; column < columns; column += TILE) {
            const uint16_t *at = from + column;
            char *tile = to + column / TILE * strip;
            __m512i rows[TILE];
            if (tokens - first >= DEEP)
                for (int64_t k = 0; k < TILE; k++) rows[k] = pair(at, stride, DEEP, k);
            else
                for (int64_t k = 0; k < TILE; k++) rows[k] = pair(at, stride, tokens - first, k);
            if (sums) {
                vec sum = load(sums + column);
                for (int k = 0; k < TILE; k++) sum += (vec)((bits)rows[k] << 16) + (vec)((bits)rows[k] & 0xffff0000u);
                store(sums + column, sum);
            }
            if (left) turn(rows);
            for (int k = 0; k < TILE; k++) _mm512_store_si512(tile + k * 64, rows[k]);
        }
}

/* out [rows, columns] (+)= left * right, of `deep` tiles behind each other; rows and columns in twos of tiles. */
static void multiply(float *out, int64_t width, const char *left, const char *right, int64_t rows, int64_t columns, int64_t deep, int more) {
    int64_t line = width * sizeof(float), strip = deep * TILE_BYTES;
    for (int64_t j = 0; j < columns; j += 2 * TILE)
        for (int64_t i = 0; i < rows; i += 2 * TILE) {
            float *at = out + i * width + j, *below = at + TILE * width;
            if (more) {
                _tile_loadd(0, at, line);
                _tile_loadd(1, at + TILE, line);
                _tile_loadd(2, below, line);
                _tile_loadd(3, below + TILE, line);
            } else {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            }
            const char *a = left + i / TILE * strip, *b = right + j / TILE * strip;
            for (int64_t k = 0; k < deep; k++, a += TILE_BYTES, b += TILE_BYTES) {
                _tile_loadd(4, a, 64);
                _tile_loadd(6, b, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_loadd(7, b + strip, 64);
                _tile_dpbf16ps(1, 4, 7);
                _tile_loadd(5, a + strip, 64);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, at, line);
            _tile_stored(1, at + TILE, line);
            _tile_stored(2, below, line);
            _tile_stored(3, below + TILE, line);
        }
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
        TileConfig theirs, ours = {.palette = 1};
        for (int k = 0; k < 8; k++) ours.bytes[k] = 64, ours.rows[k] = TILE;
        _tile_storeconfig(&theirs);
        _tile_loadconfig(&ours);
        for (int64_t token = 0; token < tokens; token += TOKENS) {
            int64_t count = least(TOKENS, tokens - token), deep = (count + DEEP - 1) / DEEP;
            for (int64_t o = begin; o < end; o += COLUMNS)
                for (int64_t i = 0; i < inputs; i += COLUMNS) {
                    int64_t rows = least(COLUMNS, end - o), columns = least(COLUMNS, inputs - i);
                    const uint16_t *g = (const uint16_t *)grad->data + token * grad->stride + o;
                    const uint16_t *x = (const uint16_t *)input->data + token * input->stride + i;
                    if (!i) lay_out(left, g, grad->stride, count, rows, 1, bias ? bias + o : 0);
                    if (o == begin || inputs > COLUMNS) lay_out(right, x, input->stride, count, columns, 0, 0);
                    multiply(weight + o * inputs + i, inputs, left, right, rows, columns, deep, token > 0);
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
