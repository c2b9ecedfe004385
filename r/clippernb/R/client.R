# A cluster at a URL, asked over HTTP from R itself: no Python, and no connection to the cluster.

part_inputs <- 256L         # as in Python's clipper_nb.client
part_size_bytes <- 1024^2
margin_s <- 5

clipper_client <- function(url, token = NULL, ca = NULL) {
  if (!requireNamespace("curl", quietly = TRUE)) {
    stop("clipper_client() needs the package curl: install.packages(\"curl\")", call. = FALSE)
  }
  root <- frontend_root(url, !is.null(ca))
  if (!is.null(token) && !(is.character(token) && length(token) == 1L && grepl("^[!-~]+$", token))) {
    stop_with("InvalidRequestError", "token must be one text without spaces, as get_query_token() returns it, or NULL")
  }
  state <- new.env(parent = emptyenv())
  state$applications <- list()
  state$handle <- curl::new_handle()
  state$authority <- authority_file(ca, state)
  headers <- c("Content-Type" = "application/json", if (!is.null(token)) c(Authorization = paste("Bearer", token)))
  state$send <- function(method, path, body, timeout_s) {
    fetch(state, paste0(root, path), method, body, headers, timeout_s)  # the token is in this function alone
  }
  structure(list(url = root, state = state), class = "clipper_client")
}

format.clipper_client <- function(x, ...) paste0("<clipper_client of ", x$url, ">")

print.clipper_client <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

frontend_root <- function(url, has_authority) {
  text <- if (is.character(url) && length(url) == 1L && !is.na(url)) trimws(url) else ""
  if (!grepl("://", text, fixed = TRUE)) text <- paste0(if (has_authority) "https://" else "http://", text)
  if (!grepl("^https?://[^/?#@[:space:]]+", text)) {
    stop_with("InvalidRequestError", "url must be the address of a query frontend, such as \"http://127.0.0.1:1337\", or ",
              "that of an application; it is ", deparse(url, nlines = 1L), ". get_query_url() returns it")
  }
  if (has_authority && startsWith(text, "http://")) {
    stop_with("InvalidRequestError", "ca is for https, and the address is ", text)
  }
  sub("/+$", "", sub("/[^/]+/predict/?$", "", sub("[?#].*", "", text)))
}

# libcurl reads the certificate from a file.
authority_file <- function(ca, state) {
  if (is.null(ca)) return(NULL)
  begin <- "-----BEGIN CERTIFICATE-----"
  if (!is.character(ca) || anyNA(ca)) stop_with("InvalidRequestError", "ca must be a certificate in PEM or the path of one")
  if (any(grepl(begin, ca, fixed = TRUE))) {
    path <- tempfile("clippernb-", fileext = ".pem")
    writeLines(ca, path)
    reg.finalizer(state, removes(path), onexit = TRUE)
    return(path)
  }
  path <- path.expand(ca)
  if (length(path) != 1L || !file.exists(path)) stop_with("InvalidRequestError", "ca is no file: ", toString(ca))
  if (!any(grepl(begin, readLines(path, warn = FALSE), fixed = TRUE, useBytes = TRUE))) {
    stop_with("InvalidRequestError", "ca has no certificate in PEM: ", path)
  }
  path
}

# A function of its own, which does not keep what it is called for alive.
removes <- function(path) {
  force(path)
  function(state) unlink(path)
}

# The answers in order; several requests, one after the other, where the inputs are many.
ask.clipper_client <- function(conn, app_name, input, version, timeout_s = NULL) {
  if (!is.null(timeout_s) && !(is.numeric(timeout_s) && length(timeout_s) == 1L && is.finite(timeout_s) && timeout_s > 0)) {
    stop_with("InvalidRequestError", "timeout_s must be a number of seconds above 0, or NULL")
  }
  ends <- if (!is.null(timeout_s)) now_s() + timeout_s
  if (!is.character(app_name) || length(app_name) != 1L || is.na(app_name)) {
    stop_with("InvalidNameError", "app_name must be one text", above = "InvalidRequestError")
  }
  known <- conn$state$applications[[app_name]]
  tryCatch(ask_in_parts(conn, app_name, input, version, ends), clipper_error = function(e) {
    conn$state$applications[[app_name]] <- NULL
    if (is.null(known) || !inherits(e, c("InvalidInputError", "NotFoundError"))) stop(e)
    # What is known may be old: the application may have been registered again.
    application <- find_application(conn, app_name, ends)
    if (inherits(e, "InvalidInputError") && identical(application$input_type, known$input_type)) stop(e)
    ask_in_parts(conn, app_name, input, version, ends)
  })
}

ask_in_parts <- function(conn, app_name, input, version, ends) {
  application <- find_application(conn, app_name, ends)
  inputs <- quote_non_finite(http_inputs(input, application$input_type))
  usual_s <- application$latency_slo_micros / 1e6 + margin_s
  rest <- if (is.null(version)) "}" else paste0(",\"version\":", json_text(version_text(version)), "}")
  answers <- list()
  for (part in parts_of(inputs)) {
    body <- paste0("{\"input_batch\":", json_array(inputs[part]), rest)
    reply <- conn$state$send("POST", paste0("/", app_name, "/predict"), body, left_s(ends, usual_s, length(answers)))
    if (reply$status != 200L) stop_as(reply, part[1L] - 1L)
    found <- parsed(reply)$batch_predictions
    if (length(found) != length(part)) stop_no_frontend(reply)
    answers <- c(answers, lapply(found, as_answer, latency_s = reply$latency_s))
  }
  answers
}

as_answer <- function(found, latency_s) {
  list(output = found$output, default = found$default, reason = found$default_reason,
       explanation = found$default_explanation, model = found$model, latency_s = latency_s)
}

# Positions of the inputs of each request.
parts_of <- function(inputs) {
  if (length(inputs) == 0L) return(list(integer()))
  number <- integer(length(inputs))
  part <- 1L
  count <- size <- 0
  for (i in seq_along(inputs)) {
    one <- nchar(inputs[i], "bytes")
    if (count >= part_inputs || (count > 0 && size + one > part_size_bytes)) {
      part <- part + 1L
      count <- size <- 0
    }
    number[i] <- part
    count <- count + 1
    size <- size + one
  }
  unname(split(seq_along(inputs), number))
}

find_application <- function(conn, app_name, ends) {
  known <- conn$state$applications[[app_name]]
  if (!is.null(known)) return(known)
  reserved <- c("admin", "metrics", "livez", "readyz", "healthz", "docs", "openapi.json", "static", "v2")
  if (grepl("^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$", app_name) && !tolower(app_name) %in% reserved) {
    reply <- conn$state$send("GET", paste0("/", app_name), NULL, left_s(ends, margin_s, 0L))
    if (reply$status == 200L) {
      found <- parsed(reply)[c("input_type", "latency_slo_micros")]
      if (!is.character(found$input_type) || !is.numeric(found$latency_slo_micros)) stop_no_frontend(reply)
      conn$state$applications[[app_name]] <- found
      return(found)
    }
    if (reply$status != 404L) stop_as(reply)
  }
  index <- conn$state$send("GET", "/", NULL, left_s(ends, margin_s, 0L))
  if (index$status != 200L) stop_as(index)
  names <- vapply(parsed(index)$applications, function(one) one$name, "")
  known <- if (length(names)) paste0("Applications: ", toString(names), ".") else "There are no applications yet."
  stop_with("ApplicationNotFoundError", "No application with name '", app_name, "' exists. ", known, above = "NotFoundError")
}

# Each input as JSON for an application of that type; rows are objects for "json", and else their text.
http_inputs <- function(input, input_type) {
  if (is.data.frame(input)) return(if (input_type == "json") json_rows(input) else json_text(json_rows(input)))
  each_input(input, list(
    raw = function(one) json_text(jsonlite::base64_enc(one)), text = json_text,
    numbers = function(one) json_array(json_scalars(as.vector(one))), list = json_value
  ))
}

# Bare NaN and infinities, as json_numbers() writes them, become the texts that stand for them in JSON; the tab distinguishes
# them from texts that are spelled alike.
quote_non_finite <- function(texts) {
  has <- grepl("NaN|Infinity", texts)
  if (!any(has)) return(texts)
  found <- gregexpr("\"[^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+\"|NaN|-?Infinity", texts[has], perl = TRUE)
  regmatches(texts[has], found) <- lapply(regmatches(texts[has], found), function(parts) {
    ifelse(startsWith(parts, "\""), parts, paste0("\"", parts, "\"\t"))
  })
  texts
}

parsed <- function(reply) {
  text <- gsub("(?<!\\\\)\"(NaN|-?Infinity)\"\t", "{\"clippernb\":\"\\1\"}", reply$text, perl = TRUE)
  value <- tryCatch(jsonlite::parse_json(text), error = function(e) NULL)
  if (!is.list(value) || is.null(names(value))) stop_no_frontend(reply)
  value
}

fetch <- function(state, url, method, body, headers, timeout_s) {
  ends <- now_s() + timeout_s
  repeat_once <- TRUE
  repeat {
    left <- max(0.001, ends - now_s())
    configure(state, method, body, headers, left)
    reply <- tryCatch(curl::curl_fetch_memory(url, state$handle), error = conditionMessage)
    if (is.list(reply)) {
      text <- rawToChar(reply$content[reply$content != 0])
      Encoding(text) <- "UTF-8"
      return(list(status = reply$status_code, text = text, latency_s = reply$times[["total"]]))
    }
    is_final <- grepl("tim(ed|eout)|SSL|TLS|certificate|resolve", reply, ignore.case = TRUE)
    if (is_final || !repeat_once || now_s() >= ends) {
      stop_with("ClusterUnreachableError", "The query frontend at ", url, " does not answer: ", reply,
                ". Is the cluster still running?", above = "ClusterError")
    }
    repeat_once <- FALSE  # the frontend ended, or restarts: a prediction can be asked for again
    Sys.sleep(min(0.3, max(0, ends - now_s())))
  }
}

configure <- function(state, method, body, headers, timeout_s) {
  handle <- curl::handle_reset(state$handle)
  curl::handle_setheaders(handle, .list = as.list(headers))
  options <- list(
    followlocation = FALSE, noproxy = "*", timeout_ms = ceiling(1000 * timeout_s), connecttimeout_ms = ceiling(1000 * timeout_s)
  )
  if (!is.null(state$authority)) options$cainfo <- state$authority
  if (method == "POST") {
    bytes <- charToRaw(enc2utf8(body))
    options <- c(options, list(post = TRUE, postfieldsize_large = length(bytes), postfields = bytes))
  }
  curl::handle_setopt(handle, .list = options)
}

now_s <- function() proc.time()[["elapsed"]]

left_s <- function(ends, usual_s, num_answered) {
  if (is.null(ends)) return(usual_s)
  left <- ends - now_s()
  if (left <= 0) {
    stop_with("ClusterUnreachableError", num_answered, " inputs were answered within timeout_s; the rest was not sent. ",
              "Allow more time, or send fewer inputs at once", above = "ClusterError")
  }
  left
}

stop_as <- function(reply, num_before = 0L) {
  cause <- tryCatch(jsonlite::parse_json(reply$text)$cause, error = function(e) NULL)
  if (!is.character(cause)) {
    cause <- paste0("The query frontend answered with status ", reply$status, ": ", substr(reply$text, 1L, 500L))
  }
  if (reply$status %/% 100L == 3L) {
    cause <- paste0("The server answered with a redirect (status ", reply$status, "), which is not followed. Use its target.")
  }
  if (num_before > 0L && grepl("$.input_batch[", cause, fixed = TRUE)) {
    position <- as.integer(sub(".*?\\$\\.input_batch\\[([0-9]+)\\].*", "\\1", cause, perl = TRUE))
    cause <- sub("\\$\\.input_batch\\[[0-9]+\\]", paste0("$.input_batch[", position + num_before, "]"), cause)
  }
  class <- switch(as.character(reply$status), "400" = , "413" = "InvalidInputError", "401" = , "403" = "UnauthorizedError",
                  "404" = "NotFoundError", "ClusterUnreachableError")
  above <- switch(class, NotFoundError = NULL, ClusterUnreachableError = "ClusterError", "InvalidRequestError")
  stop_with(class, cause, if (reply$status == 401L) " A client takes it as token=.", above = above)
}

stop_no_frontend <- function(reply) {
  stop_with("ClusterUnreachableError", "What answers there is no query frontend of this release: ",
            substr(reply$text, 1L, 200L), above = "ClusterError")
}

# An error of the classes that the same one has from a connection.
stop_with <- function(class, ..., above = NULL) {
  classes <- c(class, above, "ClipperException", "clipper_error", "error", "condition")
  stop(structure(class = classes, list(message = paste0(...), call = NULL)))
}
