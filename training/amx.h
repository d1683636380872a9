/* Matrices for the processor's matrix unit (AMX): laid out as tiles, and multiplied. Where it has none, AMX is 0. */

#pragma once

#include "kernel.h"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define AMX 1

#include <immintrin.h>

#define TILE 16 /* rows of a tile, of 32 numbers in bf16 or 16 in float32 */
#define DEEP 32 /* products that one tile adds up */
#define TILE_BYTES (TILE * 64)

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64))) TileConfig;

/* Eight whole tiles. Gives what was set before, which is to be put back: others use them, too. */
INLINE TileConfig use_tiles(void) {
    TileConfig theirs, ours = {.palette = 1};
    for (int k = 0; k < 8; k++) ours.bytes[k] = 64, ours.rows[k] = TILE;
    _tile_storeconfig(&theirs);
    _tile_loadconfig(&ours);
    return theirs;
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

/* A left factor: where its tile k of row tile i is, and how far apart a tile's rows are. */
typedef struct {
    const char *data;
    int64_t i, k, line;
} Left;

INLINE Left of_tiles(const char *tiles, int64_t deep) { return (Left){tiles, deep * TILE_BYTES, TILE_BYTES, 64}; }
INLINE Left of_rows(const uint16_t *rows, int64_t width) { return (Left){(const char *)rows, TILE * width * 2, DEEP * 2, width * 2}; }

/* out [rows, columns] of `width` numbers a row (+)= left * right, of `deep` tiles behind each other; rows and columns in
   twos of tiles. */
INLINE void multiply(float *out, int64_t width, Left left, const char *right, int64_t rows, int64_t columns, int64_t deep, int more) {
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
            const char *a = left.data + i / TILE * left.i, *b = right + j / TILE * strip;
            for (int64_t k = 0; k < deep; k++, a += left.k, b += TILE_BYTES) {
                _tile_loadd(4, a, left.line);
                _tile_loadd(6, b, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_loadd(7, b + strip, 64);
                _tile_dpbf16ps(1, 4, 7);
                _tile_loadd(5, a + left.i, left.line);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, at, line);
            _tile_stored(1, at + TILE, line);
            _tile_stored(2, below, line);
            _tile_stored(3, below + TILE, line);
        }
}

#else
#define AMX 0
#endif
