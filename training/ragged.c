/* Attention over spans of a flat row of tokens, forward and backward: what training on a CPU spends its time on when it
   is put together from tensor operators. See training/ragged.py.

   Of a group of heads that share keys and values, a span's queries (of all these heads) are the rows of one small matrix:
   everything is then a product of it with keys or values, four rows by two vectors at a time, in float32.
   Heads are padded to whole vectors (`dp` of `d` numbers). */

#include "kernel.h"

#define COLUMNS (2 * LANES) /* keys that are scored at once; reading beyond a span's end is made harmless */
#define ROWS 4

INLINE int64_t whole(int64_t n, int64_t of) { return (n + of - 1) / of * of; }

/* The d numbers of head `head` of `count` tokens from `begin` on as rows of dp. */
INLINE void take_rows(float *to, const Matrix *m, int64_t begin, int64_t count, int64_t head, int64_t d, int64_t dp, float scale) {
    for (int64_t i = 0; i < count; i++, to += dp) {
        int64_t at = (begin + i) * m->stride + head * d;
        if (m->bf16) {
            const uint16_t *from = (const uint16_t *)m->data + at;
            for (int64_t c = 0; c < d; c++) {
                union { uint32_t bits; float x; } wide = {(uint32_t)from[c] << 16};
                to[c] = scale * wide.x;
            }
        } else {
            const float *from = (const float *)m->data + at;
            for (int64_t c = 0; c < d; c++) to[c] = scale * from[c];
        }
        for (int64_t c = d; c < dp; c++) to[c] = 0.0f;
    }
}

/* The other way round. */
INLINE void give_rows(const Matrix *m, const float *from, int64_t begin, int64_t count, int64_t head, int64_t d, int64_t dp, float scale) {
    for (int64_t i = 0; i < count; i++, from += dp) {
        int64_t at = (begin + i) * m->stride + head * d;
        if (m->bf16) {
            uint16_t *to = (uint16_t *)m->data + at;
            for (int64_t c = 0; c < d; c++) {
                union { float x; uint32_t bits; } wide = {scale * from[c]};
                to[c] = (uint16_t)((wide.bits + 0x7fff + ((wide.bits >> 16) & 1)) >> 16); /* to nearest, ties to even */
            }
        } else {
            float *to = (float *)m->data + at;
            for (int64_t c = 0; c < d; c++) to[c] = scale * from[c];
        }
    }
}

/* Rows of dp numbers, `count` of them, as d rows of `width` >= count. */
INLINE void turn(float *to, const float *rows, int64_t count, int64_t width, int64_t d, int64_t dp) {
    for (int64_t block = 0; block < count; block += 16)
        for (int64_t c = 0; c < d; c++)
            for (int64_t i = block; i < block + 16 && i < count; i++) to[c * width + i] = rows[i * dp + c];
    for (int64_t c = 0; c < d; c++) memset(to + c * width + count, 0, (width - count) * sizeof(float));
}

/* out[r][j] = sum over c of a[r][c] * b[c][j]: `rows` in fours, `columns` in COLUMNS. */
INLINE void scores(float *out, int64_t out_width, const float *a, const float *b, int64_t b_width, int64_t rows, int64_t columns, int64_t d, int64_t dp) {
    for (int64_t r = 0; r < rows; r += ROWS)
        for (int64_t j = 0; j < columns; j += COLUMNS) {
            vec sum[ROWS][2] = {};
            for (int64_t c = 0; c < d; c++) {
                vec left = load(b + c * b_width + j), right = load(b + c * b_width + j + LANES);
                for (int k = 0; k < ROWS; k++) {
                    vec x = all(a[(r + k) * dp + c]);
                    sum[k][0] += x * left, sum[k][1] += x * right;
                }
            }
            for (int k = 0; k < ROWS; k++) {
                store(out + (r + k) * out_width + j, sum[k][0]);
                store(out + (r + k) * out_width + j + LANES, sum[k][1]);
            }
        }
}

/* out[r][c] += sum over j of a[r][j] * b[j][c]: `rows` in fours. A head is one or more times `vectors` wide. */
INLINE void mixture_of(int vectors, float *out, const float *a, int64_t a_width, const float *b, int64_t rows, int64_t count, int64_t dp) {
    for (int64_t r = 0; r < rows; r += ROWS)
        for (int64_t part = 0; part < dp; part += vectors * LANES) {
            vec sum[ROWS][2];
            for (int k = 0; k < ROWS; k++)
                for (int w = 0; w < vectors; w++) sum[k][w] = load(out + (r + k) * dp + part + w * LANES);
            for (int64_t j = 0; j < count; j++)
                for (int k = 0; k < ROWS; k++) {
                    vec x = all(a[(r + k) * a_width + j]);
                    for (int w = 0; w < vectors; w++) sum[k][w] += x * load(b + j * dp + part + w * LANES);
                }
            for (int k = 0; k < ROWS; k++)
                for (int w = 0; w < vectors; w++) store(out + (r + k) * dp + part + w * LANES, sum[k][w]);
        }
}

/* out[j][c] += sum over r of a[r][j] * b[r][c]. a has ROWS more columns than `count`, at least. */
INLINE void gathered_of(int vectors, float *out, const float *a, int64_t a_width, const float *b, int64_t rows, int64_t count, int64_t dp) {
    for (int64_t j = 0; j < count; j += ROWS)
        for (int64_t part = 0; part < dp; part += vectors * LANES) {
            vec sum[ROWS][2] = {};
            for (int64_t r = 0; r < rows; r++)
                for (int k = 0; k < ROWS; k++) {
                    vec x = all(a[r * a_width + j + k]);
                    for (int w = 0; w < vectors; w++) sum[k][w] += x * load(b + r * dp + part + w * LANES);
                }
            for (int k = 0; k < ROWS && j + k < count; k++)
                for (int w = 0; w < vectors; w++) {
                    float *at = out + (j + k) * dp + part + w * LANES;
                    store(at, load(at) + sum[k][w]);
                }
        }
}

INLINE void mixture(float *out, const float *a, int64_t a_width, const float *b, int64_t rows, int64_t count, int64_t dp) {
    if (dp % (2 * LANES)) mixture_of(1, out, a, a_width, b, rows, count, dp);
    else mixture_of(2, out, a, a_width, b, rows, count, dp);
}

INLINE void gathered(float *out, const float *a, int64_t a_width, const float *b, int64_t rows, int64_t count, int64_t dp) {
    if (dp % (2 * LANES)) gathered_of(1, out, a, a_width, b, rows, count, dp);
    else gathered_of(2, out, a, a_width, b, rows, count, dp);
}

/* All tokens' numbers of one head as rows and, unless that is null, as columns. */
static void take_all(float *rows, float *columns, const Matrix *m, int64_t count, int64_t width, int64_t head, int64_t d) {
    int64_t dp = whole(d, LANES);
    if (d == 32) take_rows(rows, m, 0, count, head, 32, 32, 1.0f);
    else take_rows(rows, m, 0, count, head, d, dp, 1.0f);
    if (columns && d == 32) turn(columns, rows, count, width, 32, 32);
    else if (columns) turn(columns, rows, count, width, d, dp);
}

/* One group's keys and values of all tokens, in the layouts that the products read, and its room to work in. */
typedef struct {
    int64_t width; /* of a row of key columns */
    float *keys, *key_columns, *values, *value_columns, *key_grads, *value_grads;
} Group;

/* How far apart a span's rows of scores are: both ranges in whole COLUMNS, and room for `gathered` to read beyond. */
INLINE int64_t row_width(const Span *s) { return whole(s->firsts, COLUMNS) + whole(s->seconds, COLUMNS) + LANES; }

/* What a row reads: the first range from column 0 on, the second behind it from the next whole COLUMNS on. */
INLINE void score_span(float *out, const float *rows, const float *columns, const Span *s, int64_t count, const Group *g, int64_t d, int64_t dp) {
    int64_t width = row_width(s), behind = whole(s->firsts, COLUMNS);
    scores(out, width, rows, columns + s->first, g->width, count, behind, d, dp);
    scores(out + behind, width, rows, columns + s->second, g->width, count, whole(s->seconds, COLUMNS), d, dp);
}

/* Zero what a row does not read: behind either range and, where `reach` says so, keys of the first beyond it. */
INLINE void hide(float *row, const Span *s, int64_t reach, float with) {
    int64_t behind = whole(s->firsts, COLUMNS), width = row_width(s);
    for (int64_t j = reach < s->firsts ? reach : s->firsts; j < behind; j++) row[j] = with;
    for (int64_t j = behind + s->seconds; j < width; j++) row[j] = with;
}

/* Row of scores -> row of shares that sum to one, in place; returns the log of the sum of the exponentiated scores. */
INLINE float share_out(float *row, int64_t width) {
    float top = row[0], sum = 0.0f;
    vec tops = all(row[0]), sums = {};
    for (int64_t j = 0; j < width; j += LANES) {
        vec x = load(row + j);
        tops = choose(x > tops, x, tops);
    }
    for (int k = 0; k < LANES; k++) top = tops[k] > top ? tops[k] : top;
    for (int64_t j = 0; j < width; j += LANES) {
        vec x = exponential(load(row + j) - all(top));
        sums += x;
        store(row + j, x);
    }
    for (int k = 0; k < LANES; k++) sum += sums[k];
    vec part = all(1.0f / sum);
    for (int64_t j = 0; j < width; j += LANES) store(row + j, load(row + j) * part);
    return top + logf(sum);
}

#define HIDDEN -1e30f

INLINE void forward_span(const Group *g, const Span *s, float *room, const Matrix *q, const Matrix *out, float *totals, int64_t group, int64_t share, int64_t tokens, int causal, float scale, int64_t d, int64_t dp) {
    int64_t count = share * s->queries, rows = whole(count, ROWS), width = row_width(s);
    float *queries = room, *mixed = queries + rows * dp, *shares = mixed + rows * dp;
    memset(queries, 0, 2 * rows * dp * sizeof(float));
    for (int64_t h = 0; h < share; h++)
        take_rows(queries + h * s->queries * dp, q, s->query, s->queries, group * share + h, d, dp, scale);
    score_span(shares, queries, g->key_columns, s, rows, g, d, dp);
    for (int64_t r = 0; r < rows; r++) {
        int64_t i = r % s->queries;
        hide(shares + r * width, s, causal ? i + 1 : s->firsts, HIDDEN);
        float total = share_out(shares + r * width, width);
        if (r < count) totals[(group * share + r / s->queries) * tokens + s->query + i] = total;
    }
    mixture(mixed, shares, width, g->values + s->first * dp, rows, s->firsts, dp);
    mixture(mixed, shares + whole(s->firsts, COLUMNS), width, g->values + s->second * dp, rows, s->seconds, dp);
    for (int64_t h = 0; h < share; h++)
        give_rows(out, mixed + h * s->queries * dp, s->query, s->queries, group * share + h, d, dp, 1.0f);
}

INLINE void backward_span(const Group *g, const Span *s, float *room, const Matrix *q, const Matrix *out, const Matrix *grad, const Matrix *q_grad, const float *totals, int64_t group, int64_t share, int64_t tokens, int causal, float scale, int64_t d, int64_t dp) {
    int64_t count = share * s->queries, rows = whole(count, ROWS), width = row_width(s), behind = whole(s->firsts, COLUMNS);
    float *queries = room, *grads = queries + rows * dp, *mixed = grads + rows * dp;
    float *shares = mixed + rows * dp, *slopes = shares + rows * width;
    memset(queries, 0, 3 * rows * dp * sizeof(float));
    for (int64_t h = 0; h < share; h++) {
        take_rows(queries + h * s->queries * dp, q, s->query, s->queries, group * share + h, d, dp, scale);
        take_rows(grads + h * s->queries * dp, grad, s->query, s->queries, group * share + h, d, dp, 1.0f);
        take_rows(mixed + h * s->queries * dp, out, s->query, s->queries, group * share + h, d, dp, 1.0f);
    }
    score_span(shares, queries, g->key_columns, s, rows, g, d, dp);
    score_span(slopes, grads, g->value_columns, s, rows, g, d, dp);
    for (int64_t r = 0; r < rows; r++) {
        float *p = shares + r * width, *slope = slopes + r * width;
        if (r >= count) { /* rows that are none */
            memset(p, 0, width * sizeof(float));
            memset(slope, 0, width * sizeof(float));
            continue;
        }
        int64_t i = r % s->queries, head = group * share + r / s->queries;
        float total = totals[head * tokens + s->query + i], level = 0.0f;
        for (int64_t c = 0; c < d; c++) level += grads[r * dp + c] * mixed[r * dp + c];
        hide(p, s, causal ? i + 1 : s->firsts, HIDDEN);
        hide(slope, s, s->firsts, 0.0f);
        for (int64_t j = 0; j < width; j += LANES) {
            vec x = load(p + j) - all(total);
            x = choose(x > all(0.0f), all(0.0f), x);
            x = exponential(x);
            store(p + j, x);
            store(slope + j, x * (load(slope + j) - all(level)));
        }
    }
    memset(mixed, 0, rows * dp * sizeof(float));
    mixture(mixed, slopes, width, g->keys + s->first * dp, rows, s->firsts, dp);
    mixture(mixed, slopes + behind, width, g->keys + s->second * dp, rows, s->seconds, dp);
    for (int64_t h = 0; h < share; h++)
        give_rows(q_grad, mixed + h * s->queries * dp, s->query, s->queries, group * share + h, d, dp, scale);
    gathered(g->value_grads + s->first * dp, shares, width, grads, count, s->firsts, dp);
    gathered(g->value_grads + s->second * dp, shares + behind, width, grads, count, s->seconds, dp);
    gathered(g->key_grads + s->first * dp, slopes, width, queries, count, s->firsts, dp);
    gathered(g->key_grads + s->second * dp, slopes + behind, width, queries, count, s->seconds, dp);
}

/* The most numbers that a span of `spans` needs to work in. */
static int64_t most_room(const Span *spans, int64_t n, int64_t share, int64_t dp) {
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t need = whole(share * spans[i].queries, ROWS) * (3 * dp + 2 * row_width(spans + i));
        most = need > most ? need : most;
    }
    return most;
}

/* Called with the head width known when this is compiled, where it is the usual one: the loops over it unroll then. */
#define EACH_SPAN(CALL)                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                        \
        const Span *s = spans + i;                                                           \
        if (!s->queries || !(s->firsts + s->seconds)) continue;                              \
        if (d == 32) { const int64_t D = 32, DP = 32; CALL; }                                \
        else { const int64_t D = d, DP = dp; CALL; }                                         \
    }

/* q, out [tokens, groups * share * d]; k, v [sources, groups * d]; totals [groups * share, tokens]. 0, or 1 without
   memory. Each query is of one span at most; `out` and `totals` of the others stay as they are. */
int ragged_forward(const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, float *totals, const Span *spans, int64_t n, int64_t tokens, int64_t sources, int64_t groups, int64_t share, int64_t d, int64_t causal, int64_t threads) {
    int64_t dp = whole(d, LANES), width = sources + COLUMNS, room = most_room(spans, n, share, dp);
    int failed = 0;
    float scale = 1.0f / sqrtf((float)d);
#pragma omp parallel for num_threads(threads) reduction(| : failed)
    for (int64_t group = 0; group < groups; group++) {
        float *memory = room_for(d * width + sources * dp + room);
        if (!memory) { failed = 1; continue; }
        Group g = {width, 0, memory, memory + d * width, 0, 0, 0};
        take_all(g.values, g.key_columns, k, sources, width, group, d);
        take_all(g.values, 0, v, sources, width, group, d);
        float *space = g.values + sources * dp;
        EACH_SPAN(forward_span(&g, s, space, q, out, totals, group, share, tokens, causal, scale, D, DP))
    }
    return failed;
}

/* Gradients of q, k and v [as they are] from that of out. Those of k and v are written whole. */
int ragged_backward(const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, const Matrix *grad, const float *totals, const Matrix *q_grad, const Matrix *k_grad, const Matrix *v_grad, const Span *spans, int64_t n, int64_t tokens, int64_t sources, int64_t groups, int64_t share, int64_t d, int64_t causal, int64_t threads) {
    int64_t dp = whole(d, LANES), width = sources + COLUMNS, room = most_room(spans, n, share, dp);
    int failed = 0;
    float scale = 1.0f / sqrtf((float)d);
#pragma omp parallel for num_threads(threads) reduction(| : failed)
    for (int64_t group = 0; group < groups; group++) {
        int64_t rows = sources * dp;
        float *memory = room_for(2 * d * width + 3 * rows + room);
        if (!memory) { failed = 1; continue; }
        float *columns = memory, *more = memory + 2 * d * width;
        Group g = {width, more, columns, 0, columns + d * width, more + rows, more + 2 * rows};
        take_all(g.keys, g.value_columns, v, sources, width, group, d);
        take_all(g.keys, g.key_columns, k, sources, width, group, d);
        memset(g.key_grads, 0, 2 * rows * sizeof(float));
        float *space = more + 3 * rows;
        EACH_SPAN(backward_span(&g, s, space, q, out, grad, q_grad, totals, group, share, tokens, causal, scale, D, DP))
        give_rows(k_grad, g.key_grads, 0, sources, group, d, dp, 1.0f);
        give_rows(v_grad, g.value_grads, 0, sources, group, d, dp, 1.0f);
    }
    return failed;
}
