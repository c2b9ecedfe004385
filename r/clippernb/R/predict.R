predict.clipper_connection <- function(object, app_name, input, version = NULL, ...) {
  outputs_of(ask(object, app_name, input, version), input)
}

predict.clipper_client <- function(object, app_name, input, version = NULL, timeout_s = NULL, ...) {
  outputs_of(ask(object, app_name, input, version, timeout_s), input)
}

outputs_of <- function(answers, input) {
  is_default <- vapply(answers, function(answer) answer$default, NA)
  if (any(is_default)) {
    first <- answers[[which(is_default)[1L]]]
    warning(sum(is_default), " of ", length(answers), " answers are the default output (", first$reason, "): ",
            first$explanation, call. = FALSE)
  }
  outputs <- lapply(answers, function(answer) simplified(answer$output))
  if (!is_one_input(input)) return(combined(outputs))
  outputs[[1L]]
}

predictions <- function(conn, app_name, input, version = NULL, ...) {
  answers <- ask(conn, app_name, input, version, ...)
  text <- function(name) vapply(answers, function(answer) or_na(answer[[name]], NA_character_), "")
  told <- data.frame(
    default = vapply(answers, function(answer) answer$default, NA), reason = text("reason"),
    explanation = text("explanation"), model = text("model"), latency_s = vapply(answers, function(answer) as.numeric(answer$latency_s), 0)
  )
  told$query_id <- vapply(answers, function(answer) or_na(answer$query_id, NA_real_), 0)
  told$output <- lapply(answers, function(answer) simplified(answer$output))
  told[c("output", "default", "reason", "explanation", "latency_s", "model", "query_id")]
}

ask <- function(conn, ...) UseMethod("ask")

ask.clipper_connection <- function(conn, app_name, input, version) {
  request(conn, "predict", arguments = list(
    app_name = app_name, inputs = json(json_array(json_inputs(input))), version = version_or_null(version)
  ))
}

is_one_input <- function(input) !is.list(input)

json <- function(text) structure(text, class = "json")

json_inputs <- function(input) {
  if (is.data.frame(input)) return(vapply(json_rows(input), function(row) as_json(list(row = row)), "", USE.NAMES = FALSE))
  each_input(input, list(
    raw = function(one) as_json(list(base64 = jsonlite::base64_enc(one))), text = json_text,
    numbers = function(one) json_array(json_scalars(as.vector(one))),
    list = function(one) as_json(list(json = json(json_value(one))))
  ))
}

# What is written of each input, by the function for its kind.
each_input <- function(input, write) {
  if (is_one_input(input)) input <- list(input)
  vapply(input, function(one) {
    if (is.raw(one)) write$raw(one)
    else if (is.character(one) && length(one) == 1L && !is.na(one)) write$text(one)
    else if (is.numeric(one)) write$numbers(one)
    else if (is.list(one) && !is.data.frame(one)) write$list(one)
    else stop("an input is a vector of numbers, a raw vector, one text, a list, or a row of a data frame, not ",
              deparse(one, nlines = 1L), call. = FALSE)
  }, "", USE.NAMES = FALSE)
}

# A list of scalars of one kind becomes a vector, and null NA; NaN and infinities come as objects.
simplified <- function(value) {
  if (!is.list(value)) return(value)
  if (identical(names(value), "clippernb")) return(as.numeric(value$clippernb))
  value <- lapply(value, simplified)
  if (!is.null(names(value))) return(value)
  if (length(value) == 0L) return(value)
  kinds <- setdiff(vapply(value, kind_of, ""), "null")
  if (length(kinds) > 1L || "other" %in% kinds) return(value)
  na <- switch(c(kinds, "number")[1L], number = NA_real_, text = NA_character_, flag = NA)
  vapply(value, or_na, na, na = na)
}

kind_of <- function(value) {
  if (is.null(value)) "null"
  else if (is.list(value) || length(value) != 1L) "other"
  else if (is.numeric(value)) "number"
  else if (is.character(value)) "text"
  else "flag"
}

or_na <- function(value, na) if (is.null(value)) na else if (is.numeric(value)) as.numeric(value) else value

# The outputs of several inputs: a vector where each is a scalar, a data frame where all have the same names.
combined <- function(outputs) {
  names_of <- unique(lapply(outputs, names))
  has_names <- length(outputs) > 0L && length(names_of) == 1L && !is.null(names_of[[1L]])
  if (!has_names || !all(vapply(outputs, function(output) all(vapply(output, kind_of, "") != "other"), NA))) {
    return(simplified(outputs))
  }
  columns <- lapply(names_of[[1L]], function(name) simplified(lapply(outputs, function(output) output[[name]])))
  as.data.frame(stats::setNames(columns, names_of[[1L]]), optional = TRUE, stringsAsFactors = FALSE)
}
