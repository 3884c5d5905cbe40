/* SPDX-License-Identifier: MIT */
/*
 * util/conf.h - the settings of a space: SETTINGS of settings.h, as values.
 */
#ifndef VVM_CONF_H
#define VVM_CONF_H

#include "base.h"
#include "settings.h"
#include "vvm.h"

#define CONF_PATH_MAX 4096

struct conf {
#define CONF_TYPE_SIZE(f)   uint64_t f
#define CONF_TYPE_UINT(f)   unsigned f
#define CONF_TYPE_UINT64(f) uint64_t f
#define CONF_TYPE_PATH(f)   char f[CONF_PATH_MAX]
#define CONF_TYPE_ENUM(f)   enum vvm_##f f
#define CONF_TYPE_WORD(f)   unsigned f /* which of the words */
#define CONF_TYPE_BOOL(f)   bool f
#define X(type, field, ...) CONF_TYPE_##type(field);
	SETTINGS(X)
#undef X
};

/* The rows of the table, by number. */
enum conf_row {
#define X(type, field, ...) CONF_ROW_##field,
	SETTINGS(X)
#undef X
		CONF_ROWS
};

/* Sets every field to its default. Never fails. */
void conf_defaults(struct conf *c);
/*
 * Sets one field from text. -ENOENT: there is no such setting; -EINVAL: not a
 * value of its type; -ERANGE. The field is as it was then.
 */
int conf_set(struct conf *c, const char *field, const char *text);
/*
 * Reads VVM_* from the environment (secure_getenv); where there is none it is
 * the default. text[] says where each row's text is: in the environment, or a
 * constant. A wrong value is an error, not ignored: -EINVAL, *bad names the
 * variable, and all are defaults.
 */
int conf_read(struct conf *c, const char *text[CONF_ROWS], const char **bad);
/* The default of a field, as text: a constant. */
const char *conf_default(const char *field);
/*
 * Ranges, and what depends on several fields; then rounds the budget and the
 * limit down to pages. -EINVAL: the log says which, and why.
 */
int conf_check(struct conf *c);

#endif
