/* The attention of ragged.c on processors with a matrix unit, for heads of 32 numbers in bf16 and spans of more than a few
   rows. See training/ragged.py.

   A span's queries, of all heads of a group, are the rows of one matrix. Each product is made of whole tiles; rows and keys
   beyond the span's own are zeros. What goes into a product is rounded to bf16, shares and their gradients too, as on a
   GPU; sums are in float32. */

#include "amx.h"

#if AMX

#define D 32 /* numbers of a head: the depth of a tile */

INLINE int64_t whole(int64_t n) { return (n + DEEP - 1) / DEEP * DEEP; }

/* One span of one group: its sizes in whole tiles, and the tensors' places. */
typedef struct {
    const Span *span;
    int64_t rows, all_rows, behind, width; /* queries of all heads, as padded; where the second range begins; all keys */
    int64_t group, share;
} Part;

INLINE Part part_of(const Span *s, int64_t group, int64_t share) {
    int64_t rows = share * s->queries, behind = whole(s->firsts);
    return (Part){s, rows, whole(rows), behind, behind + whole(s->seconds), group, share};
}

INLINE uint16_t *at(const Matrix *m, int64_t row, int64_t head) { return (uint16_t *)m->data + row * m->stride + head * D; }

/* Asks for whole rows of all heads, one line of memory behind the other, before they are read head by head: it takes the
   processor longer to get single lines far apart than to work on them. */
static void fetch(const Matrix *m, int64_t first, int64_t count, int64_t width) {
    for (int64_t i = first; i < first + count; i++)
        for (int64_t c = 0; c < width; c += D) __builtin_prefetch((const uint16_t *)m->data + i * m->stride + c, 0, 2);
}

/* The queries' rows of `m`, head by head, and zeros behind them. */
static void take_queries(uint16_t *to, const Matrix *m, const Part *p) {
    for (int64_t h = 0; h < p->share; h++)
        for (int64_t i = 0; i < p->span->queries; i++, to += D)
            memcpy(to, at(m, p->span->query + i, p->group * p->share + h), D * sizeof *to);
    memset(to, 0, (p->all_rows - p->rows) * D * sizeof *to);
}

/* The other way round, from float32 and times `scale`; of each row its own, [rows], with `each`. */
static void give_queries(const Matrix *m, const float *from, const float *scale, int each, const Part *p) {
    for (int64_t h = 0; h < p->share; h++)
        for (int64_t i = 0; i < p->span->queries; i++, from += D) {
            uint16_t *to = at(m, p->span->query + i, p->group * p->share + h);
            vec by = all(*scale);
            scale += each;
            store_bf16(to, load(from) * by);
            store_bf16(to + LANES, load(from + LANES) * by);
        }
}

/* The keys' rows of `m`, both ranges, each with zeros behind it. */
static void take_keys(uint16_t *to, const Matrix *m, const Part *p) {
    int64_t first[] = {p->span->first, p->span->second}, count[] = {p->span->firsts, p->span->seconds};
    for (int range = 0; range < 2; range++) {
        for (int64_t i = 0; i < count[range]; i++, to += D) memcpy(to, at(m, first[range] + i, p->group), D * sizeof *to);
        int64_t rest = whole(count[range]) - count[range];
        memset(to, 0, rest * D * sizeof *to);
        to += rest * D;
    }
}

/* rows [count, D] as the right factor of a product with rows of D numbers: columns of it. */
static void as_columns(char *to, const uint16_t *rows, int64_t count) {
    for (int64_t i = 0; i < count; i += TILE, to += TILE_BYTES) {
        __m512i block[TILE];
        for (int k = 0; k < TILE; k++) block[k] = _mm512_loadu_si512(rows + (i + k) * D);
        turn(block);
        for (int k = 0; k < TILE; k++) _mm512_store_si512(to + k * 64, block[k]);
    }
}

/* Which of the keys from `column` on a row sees; `firsts` of the first range. */
INLINE __mmask16 seen(const Part *p, int64_t column, int64_t firsts) {
    int64_t count = column < p->behind ? firsts - column : p->span->seconds - (column - p->behind);
    return count >= LANES ? 0xffff : count <= 0 ? 0 : (1 << count) - 1;
}

INLINE int64_t reach(const Part *p, int64_t row, int causal) { return causal ? row % p->span->queries + 1 : p->span->firsts; }

INLINE void store_rounded(uint16_t *to, vec x) { _mm256_storeu_si256((void *)to, (__m256i)_mm512_cvtneps_pbh((__m512)x)); }

/* Scores [width] to shares that add up to what is given in `sum`, in bf16; the log of the sum of the exponentials. */
INLINE float share_out(const Part *p, const float *scores, uint16_t *shares, int64_t firsts, float scale, float *sum) {
    vec tops = all(-1e30f), sums = {};
    for (int64_t j = 0; j < p->width; j += LANES)
        tops = (vec)_mm512_mask_max_ps((__m512)tops, seen(p, j, firsts), (__m512)tops, (__m512)load(scores + j));
    float top = _mm512_reduce_max_ps((__m512)tops) * scale;
    for (int64_t j = 0; j < p->width; j += LANES) {
        __mmask16 mask = seen(p, j, firsts);
        vec x = {};
        if (mask) x = (vec)_mm512_maskz_mov_ps(mask, (__m512)exponential(load(scores + j) * all(scale) - all(top)));
        sums += x;
        store_rounded(shares + j, x);
    }
    *sum = _mm512_reduce_add_ps((__m512)sums);
    return top + logf(*sum);
}

/* A part of memory, and the next one behind it; each begins at a whole line. */
INLINE void *part_from(char **memory, int64_t bytes) {
    void *part = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return part;
}

static void forward_part(const Part *p, char *memory, const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, float *totals, int64_t tokens, int causal, float scale) {
    int64_t rows = p->all_rows, width = p->width;
    uint16_t *queries = part_from(&memory, rows * D * 2), *keys = part_from(&memory, width * D * 2);
    char *right = part_from(&memory, width * D * 2);
    float *scores = part_from(&memory, rows * width * 4), *mixed = part_from(&memory, rows * D * 4), *parts = part_from(&memory, rows * 4);
    uint16_t *shares = part_from(&memory, rows * width * 2);
    take_queries(queries, q, p);
    take_keys(keys, k, p);
    as_columns(right, keys, width);
    multiply(scores, width, of_rows(queries, D), right, rows, width, 1, 0);
    for (int64_t r = 0; r < p->rows; r++) {
        float total = share_out(p, scores + r * width, shares + r * width, reach(p, r, causal), scale, parts + r);
        totals[(p->group * p->share + r / p->span->queries) * tokens + p->span->query + r % p->span->queries] = total;
        parts[r] = 1.0f / parts[r];
    }
    memset(shares + p->rows * width, 0, (rows - p->rows) * width * 2);
    take_keys(keys, v, p);
    lay_out(right, keys, D, width, D, 0, 0);
    multiply(mixed, D, of_rows(shares, width), right, rows, D, width / DEEP, 0);
    give_queries(out, mixed, parts, 1, p);
}

/* Where gradients of keys and values go: to where they belong or, if several spans share keys, added up in float32. */
typedef struct {
    const Matrix *to;
    float *sums; /* [sources, groups * D], or null */
    int64_t width;
} KeyGrads;

static void give_keys(const KeyGrads *g, const float *from, float scale, const Part *p) {
    int64_t first[] = {p->span->first, p->span->second}, count[] = {p->span->firsts, p->span->seconds};
    vec by = all(scale);
    for (int range = 0; range < 2; range++, from += D * (p->behind - p->span->firsts))
        for (int64_t i = 0; i < count[range]; i++, from += D) {
            vec left = load(from) * by, right = load(from + LANES) * by;
            if (g->sums) {
                float *sum = g->sums + (first[range] + i) * g->width + p->group * D;
                store(sum, load(sum) + left);
                store(sum + LANES, load(sum + LANES) + right);
            } else {
                uint16_t *to = at(g->to, first[range] + i, p->group);
                store_bf16(to, left);
                store_bf16(to + LANES, right);
            }
        }
}

static void backward_part(const Part *p, char *memory, const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, const Matrix *grad, const Matrix *q_grad, const KeyGrads *k_grad, const KeyGrads *v_grad, const float *totals, int64_t tokens, int causal, float scale) {
    int64_t rows = p->all_rows, width = p->width;
    uint16_t *queries = part_from(&memory, rows * D * 2), *grads = part_from(&memory, rows * D * 2);
    uint16_t *keys = part_from(&memory, width * D * 2);
    char *right = part_from(&memory, (width + rows) * D * 2), *left = part_from(&memory, rows * width * 2);
    float *scores = part_from(&memory, rows * width * 4), *slopes = part_from(&memory, rows * width * 4);
    float *made = part_from(&memory, (rows + width) * D * 4);
    uint16_t *shares = part_from(&memory, rows * width * 2), *turned = part_from(&memory, rows * width * 2);
    take_queries(queries, q, p);
    take_queries(grads, grad, p);
    take_keys(keys, v, p);
    as_columns(right, keys, width);
    multiply(slopes, width, of_rows(grads, D), right, rows, width, 1, 0);
    take_keys(keys, k, p);
    as_columns(right, keys, width);
    multiply(scores, width, of_rows(queries, D), right, rows, width, 1, 0);
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t i = p->span->query + r % p->span->queries, head = p->group * p->share + r / p->span->queries;
        const uint16_t *given = grads + r * D, *gave = at(out, i, head);
        vec both = load_bf16(given) * load_bf16(gave) + load_bf16(given + LANES) * load_bf16(gave + LANES);
        float level = _mm512_reduce_add_ps((__m512)both);
        vec total = all(totals[head * tokens + i]);
        for (int64_t j = 0; j < width; j += LANES) {
            __mmask16 mask = seen(p, j, reach(p, r, causal));
            vec x = load(scores + r * width + j) * all(scale) - total;
            x = choose(x > all(0.0f), all(0.0f), x);
            x = (vec)_mm512_maskz_mov_ps(mask, (__m512)exponential(x));
            store_rounded(shares + r * width + j, x);
            store_rounded(turned + r * width + j, x * (load(slopes + r * width + j) - all(level)));
        }
    }
    memset(shares + p->rows * width, 0, (rows - p->rows) * width * 2);
    memset(turned + p->rows * width, 0, (rows - p->rows) * width * 2);
    lay_out(right, keys, D, width, D, 0, 0);
    multiply(made, D, of_rows(turned, width), right, rows, D, width / DEEP, 0);
    give_queries(q_grad, made, &scale, 0, p);
    lay_out(left, turned, width, rows, width, 1, 0);
    lay_out(right, queries, D, rows, D, 0, 0);
    multiply(made, D, of_tiles(left, rows / DEEP), right, width, D, rows / DEEP, 0);
    give_keys(k_grad, made, scale, p);
    lay_out(left, shares, width, rows, width, 1, 0);
    lay_out(right, grads, D, rows, D, 0, 0);
    multiply(made, D, of_tiles(left, rows / DEEP), right, width, D, rows / DEEP, 0);
    give_keys(v_grad, made, 1.0f, p);
}

/* The most memory that a part of these spans takes, in numbers of 4 bytes. */
static int64_t most_room(const Span *spans, int64_t n, int64_t share) {
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        Part p = part_of(spans + i, 0, share);
        int64_t need = 5 * p.all_rows * p.width + 8 * D * (p.all_rows + p.width) + p.all_rows + 16 * LANES;
        most = need > most ? need : most;
    }
    return most;
}

static void fetch_span(const Span *s, const Matrix *q, const Matrix *k, const Matrix *v, int64_t groups, int64_t share) {
    fetch(q, s->query, s->queries, groups * share * D);
    for (int range = 0; range < 2; range++) {
        int64_t first = range ? s->second : s->first, count = range ? s->seconds : s->firsts;
        fetch(k, first, count, groups * D);
        fetch(v, first, count, groups * D);
    }
}

static void fetch_all(const Span *s, const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, const Matrix *grad, int64_t groups, int64_t share) {
    fetch_span(s, q, k, v, groups, share);
    fetch(out, s->query, s->queries, groups * share * D);
    fetch(grad, s->query, s->queries, groups * share * D);
}

/* Runs CALL for each part, `p`, of each span, `s`, in `memory` of its own, behind FETCH for the span. Groups are shared out
   among threads: one after the other, a span's are read from the same lines of memory. */
#define EACH_PART(FETCH, CALL)                                                               \
    _Pragma("omp parallel for num_threads(threads) reduction(| : failed)")                   \
    for (int64_t t = 0; t < threads; t++) {                                                  \
        char *memory = (char *)room_for(room);                                               \
        if (!memory) { failed = 1; continue; }                                               \
        TileConfig theirs = use_tiles();                                                     \
        for (const Span *s = spans; s < spans + n; s++) {                                    \
            if (!s->queries || !(s->firsts + s->seconds)) continue;                          \
            FETCH;                                                                           \
            for (int64_t group = t; group < groups; group += threads) {                      \
                Part p = part_of(s, group, share);                                           \
                CALL;                                                                        \
            }                                                                                \
        }                                                                                    \
        _tile_loadconfig(&theirs);                                                           \
    }

/* As ragged_forward, for heads of 32 numbers in bf16. */
int tiled_forward(const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, float *totals, const Span *spans, int64_t n, int64_t tokens, int64_t sources, int64_t groups, int64_t share, int64_t d, int64_t causal, int64_t threads) {
    int64_t room = most_room(spans, n, share);
    float scale = 1.0f / sqrtf((float)D);
    int failed = 0;
    EACH_PART(fetch_span(s, q, k, v, groups, share), forward_part(&p, memory, q, k, v, out, totals, tokens, causal, scale))
    return failed;
}

/* As ragged_backward, for heads of 32 numbers in bf16. */
int tiled_backward(const Matrix *q, const Matrix *k, const Matrix *v, const Matrix *out, const Matrix *grad, const float *totals, const Matrix *q_grad, const Matrix *k_grad, const Matrix *v_grad, const Span *spans, int64_t n, int64_t tokens, int64_t sources, int64_t groups, int64_t share, int64_t d, int64_t causal, int64_t threads) {
    int64_t room = most_room(spans, n, share), width = groups * D, covered = 0;
    float scale = 1.0f / sqrtf((float)D);
    int failed = 0, alone = 1; /* whether spans read themselves, each its own: no key is of two */
    for (int64_t i = 0; i < n; i++) {
        alone = alone && spans[i].first == spans[i].query && spans[i].firsts == spans[i].queries && !spans[i].seconds;
        covered += spans[i].queries;
    }
    float *sums = alone ? NULL : calloc(2 * sources * width, sizeof(float));
    if (!alone && !sums) return 1;
    KeyGrads k_grads = {k_grad, sums, width}, v_grads = {v_grad, sums ? sums + sources * width : 0, width};
    if (alone && covered < sources)
        for (int64_t i = 0; i < sources; i++) {
            memset((uint16_t *)k_grad->data + i * k_grad->stride, 0, width * 2);
            memset((uint16_t *)v_grad->data + i * v_grad->stride, 0, width * 2);
        }
    EACH_PART(fetch_all(s, q, k, v, out, grad, groups, share), backward_part(&p, memory, q, k, v, out, grad, q_grad, &k_grads, &v_grads, totals, tokens, causal, scale))
    for (int64_t i = 0; sums && i < sources; i++)
        for (int64_t c = 0; c < width; c += LANES) {
            store_bf16((uint16_t *)k_grad->data + i * k_grad->stride + c, load(sums + i * width + c));
            store_bf16((uint16_t *)v_grad->data + i * v_grad->stride + c, load(sums + (sources + i) * width + c));
        }
    free(sums);
    return failed;
}

#endif
