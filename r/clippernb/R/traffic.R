set_traffic <- function(conn, app_name, weights, policy = NULL, half_life_s = NULL) {
  is_weights <- is.numeric(weights) && !is.null(names(weights))
  if (!is_weights && !(is.character(weights) && !is.null(policy))) {
    stop("weights must be numbers with the targets as names, c(\"digits-net:1\" = 90, \"digits-net:2\" = 10), or with a policy ",
         "the targets, not ", deparse(weights, nlines = 1L), call. = FALSE)
  }
  arguments <- list(
    app_name = app_name, weights = if (is_weights) as.list(weights) else I(weights), policy = policy,
    half_life_s = half_life_s
  )
  invisible(traffic_frame(request(conn, "set_traffic", arguments = arguments)))
}

get_traffic <- function(conn, app_name) traffic_frame(request(conn, "get_traffic", app_name = app_name))

traffic_frame <- function(targets) {
  as_frame(targets, texts = c("target", "model"), numbers = c("weight", "share", "num_replicas", "score", "num_scores"))
}

shadow <- function(conn, app_name, target, share = 1) {
  invisible(request(conn, "shadow", arguments = list(app_name = app_name, target = target, share = share)))
}

shadow_report <- function(conn, app_name) {
  lapply(request(conn, "shadow_report", app_name = app_name), or_na, na = NA_real_)
}

roll_out <- function(conn, app_name, target, steps = c(1, 10, 50, 100), step_s = 60,
                     watch = c("defaults", "latency", "score"), min_queries = 50) {
  arguments <- list(
    app_name = app_name, target = target, steps = I(steps), step_s = step_s, watch = I(watch),
    min_queries = whole(min_queries)
  )
  invisible(request(conn, "roll_out", arguments = arguments))
}

roll_outs <- function(conn) {
  as_frame(request(conn, "roll_outs"), texts = c("app_name", "model", "status", "reason"), numbers = c("share", "step"))
}

abort_roll_out <- function(conn, app_name) invisible(request(conn, "abort_roll_out", app_name = app_name))

promote_roll_out <- function(conn, app_name) invisible(request(conn, "promote_roll_out", app_name = app_name))

feedback <- function(conn, app_name, query_id = NULL, label, score = NULL, key = NULL) {
  arguments <- list(app_name = app_name, query = whole_or_null(query_id), key = key, score = score)
  if (!missing(label)) arguments$label <- json(json_value(label))
  invisible(request(conn, "feedback", arguments = arguments))
}

# A row for each record; what is not known is NA.
as_frame <- function(records, texts, numbers) {
  column <- function(name, na) vapply(records, function(record) or_na(record[[name]], na), na)
  columns <- c(lapply(texts, column, na = NA_character_), lapply(numbers, column, na = NA_real_))
  data.frame(stats::setNames(columns, c(texts, numbers)))
}
