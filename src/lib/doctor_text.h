/*
 * What doctor found, for people: the same whether sandboxd tells it itself or
 * sandboxctl asks a daemon.
 */
#ifndef LIB_DOCTOR_TEXT_H
#define LIB_DOCTOR_TEXT_H

#include "json.h"

#include <stdio.h>

/* ANSWER is the value of "ok" of the operation doctor. */
void doctor_text(const struct json *answer, FILE *f);

#endif
