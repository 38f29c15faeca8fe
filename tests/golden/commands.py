"""The commands whose results are frozen.

A scenario is a folder of its own and the steps in it, one a line: what is frozen, and what is run.

    json,csv COMMAND    the exit code and the output in each of the formats, one run a format
    - COMMAND           the exit code alone
    cat FILE            a file, by its suffix
    ls FOLDER           the names of all files in it, but locks and hidden ones
    sh LINE             nothing: a line for the shell
    lock FILE           nothing: from then on another run holds the lock

The steps hold each command that the documents show, with each option that they show.
"""

SCENARIOS = {
    "lecture": """\
json train --config configs/lab-corrected.toml --set train.epochs=1 --set train.batch_size=512
csv train --config configs/lab-corrected.toml --set train.epochs=1 --set train.batch_size=512
json,csv,jsonl predict
csv predict --as-of 2017-06-30
- predict --format parquet --output forecast.parquet
cat forecast.parquet
json,csv evaluate
- evaluate --n-windows 2 --forecasts windows.csv --forecasts-of drift
cat windows.csv
json,csv,jsonl models list
csv models show
json,csv status
ls data/models
cat data/models/lab-corrected/champion
cat data/models/lab-corrected/v0001/config.toml
cat data/models/lab-corrected/v0001/history.csv
cat data/models/lab-corrected/v0001/metadata.json
""",
    "fan": """\
json train SPX KO PG --csv data/us20.csv.gz --set train.epochs=1
csv predict
json predict SPX --csv data/us20.csv.gz
json,csv evaluate
csv evaluate KO --csv data/us20.csv.gz --n-windows 4 --refit 2
- fetch NEWCO --rate 100
json train --from default NEWCO --name newco
json train --from default --freeze body --fine-tune-lr 1e-5 NEWCO --name newco
csv train --from newco --set train.epochs=2 --fine-tune-lr 1e-5
json predict --model newco
json predict --record --model newco
sh mkdir data/ledger && cp inputs/ledger.jsonl data/ledger/2022-12.jsonl
json,csv,jsonl evaluate --issued --csv data/us20.csv.gz
json,csv predict KO --csv data/us20.csv.gz --price 60 --price=-10% --risk
csv predict --model default --sort downside --top 2
json evaluate --csv data/us20.csv.gz KO --n-windows 6 --details --price=-5%
""",
    "wine": """\
json train --config wine --set train.epochs=5 --log-file log.jsonl
cat log.jsonl
json train --config wine --set train.epochs=5 --force --seed 1
json,csv predict --model wine
json predict --explain --model wine
json,csv,jsonl evaluate --model wine
json evaluate --model wine --audit --audit-epochs 1
csv evaluate --model wine/v0001 --model wine/v0002 --refit 7
- evaluate --model wine --report evaluation.html --plot evaluation.png
json models list
json models promote wine/v0002
json models promote wine/v0001 --if-better
json,csv models show wine
json models rollback wine
- train --config wine --set train.epochs=2 --promote never
json,csv models prune wine --keep 1
ls data/models
""",
    "networks": """\
json train --csv prices.csv --set train.epochs=30 --name mine --set train.epochs=2
csv train --csv prices.csv --name linear --set model.network=linear --set train.epochs=2
csv train --csv prices.csv --name mlp --set model.network=mlp --set train.epochs=2
csv train --csv prices.csv --name cnn --set model.network=cnn --set train.epochs=2
csv train --csv prices.csv --name rnn --set model.network=rnn --set train.epochs=2
csv train --csv prices.csv --name gru --set model.network=gru --set train.epochs=2
csv train --csv prices.csv --name lstm --set model.network=lstm --set train.epochs=2
csv train --csv prices.csv --name peephole --set model.network=peephole --set train.epochs=2
csv evaluate --step-size 5 --model linear --model mlp --model cnn --model rnn --model gru \
--model lstm --model peephole
csv models list
csv evaluate --model mine --refits 4
- evaluate --model linear --without volume
""",
    "store": """\
json fetch ^GSPC AAPL MSFT --rate 100 --dry-run
json fetch ^GSPC AAPL MSFT --rate 100
csv fetch ^GSPC AAPL MSFT --rate 100
csv fetch --symbols-file my-symbols.txt --start 2000-01-01 --rate 100
json fetch --full AAPL --rate 100
- fetch --wait 600 --errors failed.csv --output fetch.txt --symbols-file symbols.txt --quiet \
--rate 100
cat failed.csv
json fetch BUSY --rate 100 --max-wait 0
json fetch NOSUCH --rate 100
json data import FUND=prices.csv
csv predict --csv boerse.csv --columns close=Schlusskurs,date=Datum --horizon 3
csv predict --csv minutes.csv --resample 1d --horizon 3
csv data import wide.csv --sep ';' --decimal ,
json data import WEEKLY=bars.csv --interval 1wk
json,csv data check
- data import GAPS=gaps.csv
json,csv,jsonl data list
json,csv data show AAPL --rows 5
json,csv data check
- data remove AAPL --yes
ls data/prices
cat data/prices/1d/MSFT.json
cat data/prices/1d/MSFT.csv
json train ^GSPC --name index --set train.epochs=1
csv train FUND --name fund --set train.epochs=1
csv train WEEKLY --set data.interval=1wk --name weekly --set train.epochs=1
csv predict --model weekly
- predict --symbols-file symbols.txt --format csv --output forecast.csv --errors failed.csv \
--model index
cat forecast.csv
cat failed.csv
- models prune weekly --keep 26 --output pruned.txt
json,csv status
json status train --max-age 8d
- status --max-age 26h
""",
    "forecast": """\
- forecast
json forecast AAPL MSFT NOSUCH --errors failed.csv
cat failed.csv
- train MSFT --set train.epochs=1
csv forecast AAPL MSFT --retrain-after 7d --device cpu --horizon 5
- forecast --symbols-file my-symbols.txt --record --quiet --output forecast.csv
cat forecast.csv
- train --symbols-file my-symbols.txt --name weekly --set train.epochs=1
json forecast KO PEP --retrain-after 7d
lock data/.forecast.lock
- forecast AAPL
json status forecast --max-age 26h
json models use weekly
csv predict PEP --horizon 5
""",
    "anomalies": """\
json,csv anomalies SPX KO --csv data/us20.csv.gz --since 2018-06-01
json anomalies KO --csv data/us20.csv.gz --since 2022-01-01 --steps 5 --probability 0.01
csv anomalies KO SPX --csv data/us20.csv.gz
- anomalies KO --csv data/us20.csv.gz --since 2018-06-01 --fail
- anomalies KO --csv data/us20.csv.gz --fail
- anomalies KO --csv data/us20.csv.gz --steps 60
- anomalies NOSUCH
json train SPX --csv data/us20.csv.gz --scratch --set split.train_end=1999-12-31 --name early
json anomalies SPX --csv data/us20.csv.gz --model early --since 2000-01-01
""",
    "search": """\
json tune --csv data/sp500.csv --trials 4 --start 2010-01-01 --set train.epochs=1
csv,jsonl tune --csv data/sp500.csv --trials 4 --start 2010-01-01 --set train.epochs=1
cat data/tuning/default/default-tuned.toml
""",
    "wrong": """\
- nosuch
- train --nosuch
- train --config nosuch
- train --set train.epocs=3
- train --set train.epochs=0
- train NOSUCH
- train --csv nosuch.csv
- train --csv configs/wine.toml
- train --format yaml
- predict
- predict --model nosuch
- evaluate
- evaluate --issued
- tune --trials 0
- fetch
- fetch BUSY --max-wait 0
- fetch NOSUCH --rate 100
- data list
- data show NOSUCH
- data check NOSUCH
- data remove NOSUCH --yes
- data import nosuch.csv
- data import us=inputs/ledger.jsonl
- models list
- models list nosuch
- models show nosuch
- models rollback nosuch
- status --max-age soon
- status --max-age 1h
- status fetch --max-age 1h
- train --config wine --set train.epochs=1 --quiet
- models rollback wine
- models promote wine/v0009
- models prune wine --keep 0
- predict --model wine --explain --format csv
- predict --model wine --as-of 1960-01-01
- predict --model wine --output nosuch/forecast.csv
- predict --model wine --record --as-of 1993-01-01
- predict NOSUCH --model wine
- evaluate --model wine --start 2030-01-01
- train --config wine --resume --from wine
lock data/models/wine/.lock
- train --config wine --set train.epochs=1 --force
lock data/prices/.lock
- fetch AAPL
- data import FUND=prices.csv
sh truncate -s 100 data/models/wine/v0001/model.safetensors
- predict --model wine
- evaluate --model wine
json models list
json status
""",
    "help": """\
- --help
- --version
- fetch --help
- train --help
- predict --help
- anomalies --help
- forecast --help
- evaluate --help
- tune --help
- status --help
- data --help
- data import --help
- models --help
- models promote --help
- config show
json config show train.epochs
""",
}

NOT_RUN = {
    "--install-completion": "it changes the start-up files of the user's shell",
    "COMMAND": "it stands for any command",
    "COMMAND --help": "the help of each command is run by its name",
    "evaluate --format": "each result is run in its formats",
    "predict --plot": "a picture; that of `evaluate` is drawn",
    "predict --ray": "the same bytes as without, which tests/cluster compares",
}
