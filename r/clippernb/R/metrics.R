# Metrics of a model's own: a deployed function calls these, and the query frontend's /metrics shows what they count, as
# clipper_user_<name>. They only signal a condition, which nothing hears but a replica; so they can be called anywhere.
# `labels` is a vector with names, c(language = "de").
count_metric <- function(name, by = 1, labels = NULL, description = "") {
  metric <- list(message = name, type = "counter", value = by, labels = labels, description = description, buckets = NULL)
  signalCondition(structure(metric, class = c("clipper_metric", "condition")))
  invisible()
}

set_metric <- function(name, value, labels = NULL, description = "") {
  metric <- list(message = name, type = "gauge", value = value, labels = labels, description = description, buckets = NULL)
  signalCondition(structure(metric, class = c("clipper_metric", "condition")))
  invisible()
}

observe_metric <- function(name, value, labels = NULL, description = "", buckets = NULL) {
  metric <- list(message = name, type = "histogram", value = value, labels = labels, description = description, buckets = buckets)
  signalCondition(structure(metric, class = c("clipper_metric", "condition")))
  invisible()
}
