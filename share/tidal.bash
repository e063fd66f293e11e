# Completion of tidal's commands and flags in bash. Made by scripts/make-documents.
_tidal() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local words='' command='' i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ ${COMP_WORDS[i]} == -* ]] && break
    command+=${command:+ }${COMP_WORDS[i]}
  done
  case $previous in
    --cache-type-k) words='f16 bf16 f32 q8_0' ;;
    --cache-type-v) words='f16 bf16 f32 q8_0' ;;
    --backend) words='cpu reference' ;;
    --rope-scaling) words='none linear yarn' ;;
    --method) words='full tidal quest window oracle' ;;
  esac
  [[ -n $words ]] || case $command in
    '') words='generate chat serve inspect tokenize bench eval calibrate --help -h --version' ;;
    'generate') words='--help -h --prompt -p --file -f --tokens --chat --system-prompt --answer-prefix --predict -n --min-tokens --temp --top-k --top-p --min-p --typical --top-nsigma --xtc-probability --xtc-threshold --seed -s --stop --json-schema -j --grammar --ignore-eos --repeat-penalty --repeat-last-n --presence-penalty --frequency-penalty --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --logit-bias --grammar-file --method --plan --budget --min-context --correct-every --lossless --drafts --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'chat') words='--help -h --system-prompt --predict -n --min-tokens --temp --top-k --top-p --min-p --typical --top-nsigma --xtc-probability --xtc-threshold --seed -s --stop --json-schema -j --grammar --ignore-eos --repeat-penalty --repeat-last-n --presence-penalty --frequency-penalty --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --logit-bias --method --plan --budget --min-context --correct-every --lossless --drafts --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'serve') words='--help -h --host --port --timeout --keepalive-json --max-body --max-connections --api-key --api-key-file --no-auth --cors-origins --parallel --kv-unified --batch-size --alias --tags --max-queue --metrics --metrics-names --kv-events --slots --no-slots --chat-template-file --reasoning --reasoning-format --jinja --no-jinja --verbose -v --predict -n --min-tokens --temp --top-k --top-p --min-p --typical --top-nsigma --xtc-probability --xtc-threshold --seed -s --stop --json-schema -j --grammar --ignore-eos --repeat-penalty --repeat-last-n --presence-penalty --frequency-penalty --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --logit-bias --method --plan --budget --min-context --correct-every --lossless --drafts --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template' ;;
    'inspect') words='--help -h --metadata --method --plan --budget --min-context --correct-every --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'tokenize') words='--help -h --model -m --decode --special --no-bos --json' ;;
    'bench') words='--help -h --shape --quant --depths -d --crossover --n-prompt -p --repetitions -r --n-gen -n --batch --drafts --ops --step-queries --output -o --seed --plan --budget --min-context --correct-every --method --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'eval') words='ppl kld needle recall --help -h' ;;
    'eval ppl') words='--help -h --file -f --tokens --prefill --max-tokens --skip --per-token --method --plan --budget --min-context --correct-every --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'eval kld') words='--help -h --file -f --tokens --prefill --max-tokens --skip --method --methods --plan --budget --budgets --min-context --correct-every --output -o --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'eval needle') words='--help -h --kind --file -f --lengths --depths --prompts --seed -s --method --methods --plan --budget --budgets --min-context --correct-every --output -o --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'eval recall') words='--help -h --file -f --tokens --context --skip --samples --budget --plan --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
    'calibrate') words='--help -h --file -f --prompts --select --full --plan --budget --context --candidates --seed --output -o --model -m --ctx-size -c --threads -t --cache-type-k --cache-type-v --backend --rope-scaling --rope-scale --rope-freq-base --yarn-orig-ctx --chat-template --json --verbose -v' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _tidal tidal
