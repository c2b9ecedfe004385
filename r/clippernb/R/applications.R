register_application <- function(conn, name, input_type, default_output = "null", slo_micros = 1000000) {
  arguments <- list(
    name = name, input_type = input_type, default_output = default_output, slo_micros = whole(slo_micros)
  )
  invisible(request(conn, "register_application", arguments = arguments))
}

unregister_application <- function(conn, name) invisible(request(conn, "unregister_application", name = name))

link_model_to_app <- function(conn, app_name, model_name) {
  invisible(request(conn, "link_model_to_app", app_name = app_name, model_name = model_name))
}

unlink_model_from_app <- function(conn, app_name, model_name) {
  invisible(request(conn, "unlink_model_from_app", app_name = app_name, model_name = model_name))
}

get_all_apps <- function(conn) as.character(unlist(request(conn, "get_all_apps")))

get_app_info <- function(conn, name) request(conn, "get_app_info", name = name)

get_linked_models <- function(conn, app_name) {
  as.character(unlist(request(conn, "get_linked_models", app_name = app_name)))
}
