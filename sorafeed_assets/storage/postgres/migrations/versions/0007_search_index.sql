ALTER TABLE sora_posts SET (toast_tuple_target = 8160);

CREATE OR REPLACE FUNCTION search_slices(id_hash bigint, posted_at timestamptz) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[
        id_hash >> 56,
        1000000000 + (id_hash >> 57),
        2000000000 + (id_hash >> 58),
        3000000000 + (id_hash >> 59),
        4000000000 + (id_hash >> 60),
        5000000000 + (id_hash >> 61),
        6000000000 + (id_hash >> 62),
        7000000000 + (id_hash >> 63),
        20000000000 + (date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date),
        21000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 1),
        22000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 2),
        23000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 3),
        24000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 4),
        25000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 5),
        26000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 6),
        27000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 7)
    ];
