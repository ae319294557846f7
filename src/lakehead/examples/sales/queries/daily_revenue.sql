-- What did each day bring in, and how much more or less than the day before?
SELECT
  CAST(order_date AS date) AS day,
  count(DISTINCT order_id) AS orders,
  sum(total_amount) AS revenue,
  sum(total_amount) - lag(sum(total_amount)) OVER (ORDER BY CAST(order_date AS date)) AS change
FROM processed_orders
GROUP BY CAST(order_date AS date)
ORDER BY day
