package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/xuri/excelize/v2"
)

// statements are size bytes of SQL that every side understands.
func statements(size int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	column := func() string { return pick("order_id", "user_id", "amount", "city_name", "gmt_create", "status") }
	shapes := []func() string{
		func() string {
			return fmt.Sprintf("SELECT a.%s, b.%s, COUNT(*) AS n, SUM(a.amount) AS total\nFROM dwd_order_di AS a\nINNER JOIN dim_user AS b ON a.user_id = b.user_id\nWHERE a.dt = '20260101' AND a.%s > %d\nGROUP BY a.%[1]s, b.%[2]s\nHAVING COUNT(*) > 1\nORDER BY total DESC\nLIMIT 100;\n", column(), column(), column(), rnd.IntN(1000))
		},
		func() string {
			return fmt.Sprintf("INSERT INTO dws_order_1d (user_id, amount, city_name)\nSELECT user_id, COALESCE(amount, 0), CASE WHEN status = 'paid' THEN '%s' ELSE 'other' END\nFROM dwd_order_di\nWHERE %s IN (1, 2, 3) AND city_name LIKE 'shang%%';\n", pick("a", "b"), column())
		},
		func() string {
			return fmt.Sprintf("WITH t AS (\n    SELECT user_id, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY gmt_create DESC) AS rn\n    FROM dwd_order_di\n    WHERE %s IS NOT NULL\n)\nSELECT user_id\nFROM t\nWHERE rn = 1;\n", column())
		},
		func() string {
			return fmt.Sprintf("UPDATE dim_user SET city_name = 'x', amount = amount + %d WHERE user_id = %d;\n", rnd.IntN(9), rnd.IntN(1e6))
		},
		func() string {
			return fmt.Sprintf("SELECT %s FROM dwd_order_di WHERE user_id IN (SELECT user_id FROM dim_user WHERE status = 'on')\nUNION ALL\nSELECT %[1]s FROM dwd_refund_di WHERE amount BETWEEN %d AND 900;\n", column(), rnd.IntN(100))
		},
	}
	var b strings.Builder
	b.WriteString("-- statements that are read by every side\n")
	for b.Len() < size {
		b.WriteString(shapes[rnd.IntN(len(shapes))]())
	}
	return b.String()
}

// specification is an OpenAPI 3.0 document with so many paths, about 2 KB each.
func specification(paths int) string {
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\ninfo: {title: Orders, version: 1.0.0, description: Orders and what belongs to them, contact: {name: team}}\nservers: [{url: 'https://api.example.com'}]\ntags: [{name: orders}]\nsecurity: [{key: []}]\npaths:\n")
	for i := range paths {
		fmt.Fprintf(&b, `  /orders%d/{orderId}/items:
    get:
      operationId: listItems%[1]d
      summary: The items of an order
      description: Lists the items of an order, the newest first, page by page.
      tags: [orders]
      parameters:
        - {name: orderId, in: path, required: true, description: The order, schema: {type: string, maxLength: 36}}
        - {name: limit, in: query, description: Of a page, schema: {type: integer, minimum: 1, maximum: 100, default: 20}}
        - {name: after, in: query, description: A cursor, schema: {type: string}}
      responses:
        '200':
          description: A page
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Items%[1]d'}
        '404': {description: There is no such order}
    post:
      operationId: addItem%[1]d
      summary: Adds an item
      description: Adds an item to an order that is still open.
      tags: [orders]
      parameters:
        - {name: orderId, in: path, required: true, description: The order, schema: {type: string, maxLength: 36}}
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Item%[1]d'}
      responses:
        '201': {description: It was added}
`, i)
	}
	b.WriteString("components:\n  securitySchemes:\n    key: {type: apiKey, in: header, name: X-Key}\n  schemas:\n")
	for i := range paths {
		fmt.Fprintf(&b, `    Item%d:
      type: object
      required: [id, name]
      properties:
        id: {type: string, description: Of the item}
        name: {type: string, maxLength: 200, description: As it is shown}
        amount: {type: number, format: double, description: In the currency of the order}
        state: {type: string, enum: [open, paid, sent, returned], description: Where it is}
        tags: {type: array, items: {type: string}, maxItems: 20}
    Items%[1]d:
      type: object
      properties:
        nodes: {type: array, items: {$ref: '#/components/schemas/Item%[1]d'}}
        next: {type: string, nullable: true}
`, i)
	}
	return b.String()
}

// workbook writes a table of jobs, ten columns wide.
func workbook(name string, rows int) (err error) {
	book := excelize.NewFile()
	defer func() { err = errors.Join(err, book.Close()) }()
	w, err := book.NewStreamWriter("Sheet1")
	if err != nil {
		return err
	}
	for i := range rows {
		cells := []any{fmt.Sprintf("dwd_order_%d_di", i), "retail", "HIVE", fmt.Sprintf("sql/dwd/dwd_order_%d.sql", i), fmt.Sprintf("ods_order_%d", i), "D", "0 0 2 * * ?", i % 10, "li", "明细层作业"}
		if err := w.SetRow(fmt.Sprintf("A%d", i+1), cells); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return book.SaveAs(name)
}

// archive writes a package of text files.
func archive(name string, files int) (err error) {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	w := zip.NewWriter(out)
	text := statements(48 << 10)
	for i := range files {
		f, err := w.Create(fmt.Sprintf("sql/dwd/job_%05d.sql", i))
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return errors.Join(w.Close(), out.Close())
}
