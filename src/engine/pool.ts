/**
 * A part of a causal attention matrix, max-pooled so that no side is longer than `maxSide`: single bright cells stay visible, which a mean
 * would drown. A cell that lies wholly above the diagonal is NaN (no row of it sees a column of it).
 *
 * @param matrix row-major, `width` columns, row q sees the columns 0..q
 * @param rows range [start, end)
 * @param columns range [start, end)
 */
export function poolMatrix(
  matrix: Float32Array,
  width: number,
  rows: readonly [number, number],
  columns: readonly [number, number],
  maxSide: number,
) {
  const pool = Math.max(1, Math.ceil(Math.max(rows[1] - rows[0], columns[1] - columns[0]) / maxSide));
  const pooledRows = Math.ceil((rows[1] - rows[0]) / pool);
  const pooledColumns = Math.ceil((columns[1] - columns[0]) / pool);
  const values = new Float32Array(pooledRows * pooledColumns).fill(Number.NaN);
  for (let row = rows[0]; row < rows[1]; row++) {
    const line = Math.floor((row - rows[0]) / pool) * pooledColumns;
    const end = Math.min(columns[1], row + 1);
    for (let column = columns[0]; column < end; column++) {
      const cell = line + Math.floor((column - columns[0]) / pool);
      const value = matrix[row * width + column] ?? 0;
      // NaN compares false: the first value always enters.
      if (!((values[cell] ?? 0) >= value)) values[cell] = value;
    }
  }
  return { pool, rows: pooledRows, columns: pooledColumns, values };
}
