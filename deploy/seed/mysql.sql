-- Run once by the image's entry point, as root, in the database shop.
GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'penstock'@'%';

CREATE TABLE customers (
    id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name    VARCHAR(100) NOT NULL,
    email   VARCHAR(200) NOT NULL UNIQUE,
    created DATETIME(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

CREATE TABLE orders (
    id       BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer BIGINT         NOT NULL,
    total    DECIMAL(10, 2) NOT NULL,
    state    ENUM ('new', 'paid', 'sent') NOT NULL DEFAULT 'new',
    details  JSON,
    FOREIGN KEY (customer) REFERENCES customers (id)
);

INSERT INTO customers (name, email) VALUES
    ('Ada', 'ada@example.com'),
    ('Grace', 'grace@example.com'),
    ('Edsger', 'edsger@example.com');

INSERT INTO orders (customer, total, state, details) VALUES
    (1, 19.90, 'paid', '{"items": 2}'),
    (2, 250.00, 'new', NULL),
    (3, 7.35, 'sent', '{"items": 1, "gift": true}');
