/* What every test program shares: one CUnit suite, named tests, a skip that is reported, a printed seed.
 *
 *     static void test_ring(void) { CHECK_EQUAL(ring_bytes(8), 14); }
 *     TEST_MAIN("replay", TEST(test_ring), TEST(test_tree))
 *
 * A program ends with the line `NAME: N passed, N failed, N skipped` and status 1 where a test failed. */
#ifndef PHOTONET_TESTS_CHECK_H
#define PHOTONET_TESTS_CHECK_H

#include <CUnit/Basic.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
};
#define TEST(function_) { #function_, function_ }

#define TEST_MAIN(suite_, ...)                                                        \
    int main(void)                                                                    \
    {                                                                                 \
        static const struct test tests[] = {__VA_ARGS__};                             \
        return test_suite_run(suite_, tests, sizeof tests / sizeof tests[0]);         \
    }

int test_suite_run(const char *suite, const struct test *tests, size_t count);

/* Marks the running test as skipped (it still passes); `return` after it. */
void test_skip(const char *why);

/* PHOTONET_CORPUS/`relative` if the corpus is set and the file exists, else NULL after a test_skip. */
const char *test_corpus(const char *relative);

/* A fresh empty directory under the system's temporary directory, removed at exit. */
const char *test_directory(void);

/* PHOTONET_SEED or a fixed default; printed. */
uint64_t test_seed(void);

/* Runs `command` in a shell, returns its exit status (128 + signal where killed); stdout + stderr into output. */
int test_shell(char *output, size_t output_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(condition_)                                                                                 \
    do {                                                                                                  \
        bool good_ = (condition_);                                                                        \
        CU_assertImplementation(good_, __LINE__, #condition_, __FILE__, __func__, CU_FALSE);              \
    } while (0)
#define CHECK_EQUAL(actual_, expected_)                                                                   \
    do {                                                                                                  \
        uint64_t a_ = (uint64_t)(actual_), e_ = (uint64_t)(expected_);                                    \
        char text_[256];                                                                                  \
        snprintf(text_, sizeof text_, "%s is %" PRIu64 ", expected %" PRIu64, #actual_, a_, e_);          \
        CU_assertImplementation(a_ == e_, __LINE__, text_, __FILE__, __func__, CU_FALSE);                 \
    } while (0)
#define CHECK_NEAR(actual_, expected_, relative_)                                                         \
    do {                                                                                                  \
        double a_ = (double)(actual_), e_ = (double)(expected_), d_ = a_ > e_ ? a_ - e_ : e_ - a_;        \
        char text_[256];                                                                                  \
        snprintf(text_, sizeof text_, "%s is %.9g, expected %.9g within %g", #actual_, a_, e_,            \
                 (double)(relative_));                                                                    \
        CU_assertImplementation(d_ <= (relative_) * (e_ < 0 ? -e_ : e_), __LINE__, text_, __FILE__,       \
                                __func__, CU_FALSE);                                                      \
    } while (0)
#define CHECK_TEXT(actual_, expected_)                                                                    \
    do {                                                                                                  \
        const char *a_ = (actual_), *e_ = (expected_);                                                    \
        char text_[4096];                                                                                 \
        snprintf(text_, sizeof text_, "%s is \"%s\", expected \"%s\"", #actual_, a_, e_);                 \
        CU_assertImplementation(strcmp(a_, e_) == 0, __LINE__, text_, __FILE__, __func__, CU_FALSE);      \
    } while (0)
/* `text` holds `part`. */
#define CHECK_HOLDS(text_, part_)                                                                         \
    do {                                                                                                  \
        const char *t_ = (text_), *p_ = (part_);                                                          \
        char line_[4096];                                                                                 \
        snprintf(line_, sizeof line_, "\"%s\" does not hold \"%s\"", t_, p_);                             \
        CU_assertImplementation(strstr(t_, p_) != NULL, __LINE__, line_, __FILE__, __func__, CU_FALSE);   \
    } while (0)

#endif
