/* SPDX-License-Identifier: MIT */
/*
 * support/strict.h - strict checkers of what vvmstat prints for programs: JSON
 * (RFC 8259) and OpenMetrics 1.0 text. Each returns NULL, or what is wrong.
 */
#ifndef VVM_STRICT_H
#define VVM_STRICT_H

#define assert_strict(checker, text)                             \
	do {                                                     \
		const char *wrong = checker(text);               \
                                                                 \
		ck_assert_msg(!wrong, "%s in: %s", wrong, text); \
	} while (0)

/* The text is one value. */
const char *strict_json(const char *text);

const char *strict_openmetrics(const char *text);

#endif
