get_all_models <- function(conn) as.character(unlist(request(conn, "get_all_models")))

get_model_info <- function(conn, name, version) {
  request(conn, "get_model_info", name = name, version = version_text(version))
}

get_current_model_version <- function(conn, name) request(conn, "get_current_model_version", name = name)

set_model_version <- function(conn, name, version, num_replicas = NULL) {
  arguments <- list(name = name, version = version_text(version), num_replicas = whole_or_null(num_replicas))
  invisible(request(conn, "set_model_version", arguments = arguments))
}

get_num_replicas <- function(conn, name, version = NULL) {
  request(conn, "get_num_replicas", arguments = list(name = name, version = version_or_null(version)))
}

set_num_replicas <- function(conn, name, num_replicas = NULL, version = NULL, min = NULL, max = NULL, target = NULL,
                             period_s = NULL, stable_s = NULL) {
  arguments <- list(
    name = name, num_replicas = whole_or_null(num_replicas), version = version_or_null(version),
    min = whole_or_null(min), max = whole_or_null(max), target = target, period_s = period_s, stable_s = stable_s
  )
  invisible(request(conn, "set_num_replicas", arguments = arguments))
}

stop_models <- function(conn, model_names) invisible(request(conn, "stop_models", model_names = I(model_names)))

stop_inactive_model_versions <- function(conn, model_names) {
  invisible(request(conn, "stop_inactive_model_versions", model_names = I(model_names)))
}

# Python tells a whole number from a double; a version that is a double might lose a digit: 1.10 is 1.1.
whole <- function(x) {
  if (!is.numeric(x) || length(x) != 1L || is.na(x) || x != round(x)) {
    stop("a whole number is wanted here, not ", deparse(x, nlines = 1L), call. = FALSE)
  }
  structure(sprintf("%.0f", x), class = "json")
}

whole_or_null <- function(x) if (is.null(x)) NULL else whole(x)

version_text <- function(version) if (is.character(version)) version else unclass(whole(version))

version_or_null <- function(version) if (is.null(version)) NULL else version_text(version)
