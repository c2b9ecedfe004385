slo_micros <- 20e6

new_cluster <- function(name, ...) {
  start_clipper(paste0("test-", name, "-", Sys.getpid()), clipper_query_port = 0, clipper_management_port = 0,
                clipper_rpc_port = 0, query_token = TRUE, ...)
}

# A function as a user's session has it: what it uses is global.
globally <- function(code) eval(substitute(code), globalenv())

# The command lines of processes that have the name in theirs.
commands_with <- function(cluster_name) {
  commands <- vapply(list.files("/proc", "^[0-9]+$", full.names = TRUE), function(process) {
    bytes <- tryCatch(suppressWarnings(readBin(file.path(process, "cmdline"), "raw", 1e5)), error = function(e) raw())
    rawToChar(replace(bytes, bytes == 0, charToRaw(" ")))
  }, "", USE.NAMES = FALSE)
  grep(cluster_name, commands, value = TRUE, fixed = TRUE)
}

# Whether it becomes true within some seconds.
eventually <- function(is_true, within_s = 20) {
  until <- Sys.time() + within_s
  while (!is_true() && Sys.time() < until) Sys.sleep(0.05)
  is_true()
}
