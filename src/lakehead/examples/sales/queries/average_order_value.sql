-- What is an order worth on average, month by month?
-- An order may have several rows, one for each product.
SELECT
  date_format(CAST(order_date AS date), '%Y-%m') AS month,
  count(DISTINCT order_id) AS orders,
  sum(total_amount) AS revenue,
  CAST(sum(total_amount) AS decimal(38, 4)) / count(DISTINCT order_id) AS average_order_value
FROM processed_orders
GROUP BY date_format(CAST(order_date AS date), '%Y-%m')
ORDER BY month
