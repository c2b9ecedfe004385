start_clipper <- function(cluster_name = "default-cluster", manager = c("local", "docker"), ...,
                          cache_size = NULL, num_frontend_replicas = NULL, query_token = NULL, tls = NULL,
                          fresh = FALSE) {
  start <- list(cache_size = whole_or_null(cache_size), num_frontend_replicas = whole_or_null(num_frontend_replicas),
                query_token = query_token, tls = if (is.character(tls)) as.list(unname(tls)) else tls,
                fresh = fresh)
  open_connection("start_clipper", match.arg(manager), cluster_name, list(...), start = Filter(Negate(is.null), start))
}

connect <- function(cluster_name = "default-cluster", manager = c("local", "docker"), ...) {
  open_connection("connect", match.arg(manager), cluster_name, list(...))
}

open_connection <- function(call, manager, cluster_name, options, ...) {
  conn <- structure(list(session = start_session(), cluster_name = cluster_name), class = "clipper_connection")
  more <- lapply(list(...), keep_names)
  arguments <- c(list(manager = manager, cluster_name = cluster_name, options = keep_names(options)), more)
  tryCatch(request(conn, call, arguments = arguments), error = function(e) {
    end_session(conn$session)
    stop(e)
  })
  conn
}

stop_clipper <- function(conn, graceful = TRUE, keep = FALSE) {
  if (!conn$session$process$is_alive()) return(invisible())
  request(conn, "stop_all", graceful = graceful, keep = keep)
  end_session(conn$session)
  invisible()
}

format.clipper_connection <- function(x, ...) {
  if (!x$session$process$is_alive()) return(paste0("<", x$cluster_name, ": the connection has ended>"))
  request(x, "describe")
}

print.clipper_connection <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

get_query_addr <- function(conn) request(conn, "get_query_addr")

get_query_url <- function(conn) request(conn, "get_query_url")

get_tls_authority <- function(conn) request(conn, "get_tls_authority")

get_query_token <- function(conn) request(conn, "get_query_token")

get_clipper_logs <- function(conn, logging_dir = NULL) {
  if (!is.null(logging_dir)) logging_dir <- normalizePath(logging_dir, mustWork = FALSE)
  as.character(unlist(request(conn, "get_clipper_logs", logging_dir = logging_dir)))
}
