-- Which products sell best, by what they bring in?
SELECT
  product,
  sum(quantity) AS units,
  sum(total_amount) AS revenue
FROM processed_orders
GROUP BY product
ORDER BY revenue DESC, product
LIMIT 10
