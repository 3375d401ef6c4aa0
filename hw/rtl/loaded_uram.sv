// A memory of UltraRAM, which has no content of its own: it is written after each reset, then read as a rom. data_o is,
// from the next clock edge with en_i on, the word at address_i.
//
// The content comes in parts of 32 bits, one in each cycle with load_valid_i, and always finds room: a word is
// Width / 32 parts, rounded up, the least significant one first, and address 0 comes first. When all words are there
// loaded_o goes high until the next reset, and what still comes is passed on, a cycle later, to the next memory.
//
// More than 4096 words, which is as deep as an UltraRAM is (UG573), are in several banks: tools differ in what they make
// of a deeper memory.
//
// Width: bits of a word, at least 1.
// Depth: words, at least 1. One word is a register.
`default_nettype none

module loaded_uram #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 1,
  localparam int unsigned AddressWidth = (Depth > 1) ? $clog2(Depth) : 1
) (
  input  wire                     clk_i,
  input  wire                     rst_ni,

  input  wire                     load_valid_i,
  input  wire  [31:0]             load_data_i,
  output wire                     load_valid_o,
  output wire  [31:0]             load_data_o,
  output wire                     loaded_o,

  input  wire                     en_i,
  input  wire  [AddressWidth-1:0] address_i,
  output wire  [Width-1:0]        data_o
);

  if (Width < 1 || Depth < 1) begin : gen_check
    $error("%m: Width and Depth must be at least 1");
  end

  localparam int unsigned Parts = (Width + 31) / 32;
  localparam int unsigned PartWidth = (Parts > 1) ? $clog2(Parts) : 1;

  logic loaded_q;
  wire take = load_valid_i && !loaded_q;

  // -- a word from its parts, which move down as they come

  wire [32*Parts-1:0] word;
  wire write;
  if (Parts > 1) begin : gen_parts
    logic [32*(Parts-1)-1:0] parts_q;
    logic [PartWidth-1:0] part_q;
    wire part_last = part_q == PartWidth'(Parts - 1);
    always_ff @(posedge clk_i) begin
      if (take) parts_q <= word[32*Parts-1:32];
      if (!rst_ni) part_q <= '0;
      else if (take) part_q <= part_last ? '0 : part_q + 1'b1;
    end
    assign word = {load_data_i, parts_q};
    assign write = take && part_last;
  end else begin : gen_whole
    assign word = load_data_i;
    assign write = take;
  end
  if (Width % 32 != 0) begin : gen_padding
    wire unused_padding = &{1'b0, word[32*Parts-1:Width]};
  end

  // -- the words

  if (Depth > 1) begin : gen_memory
    localparam int unsigned BankDepth = (Depth < 4096) ? Depth : 4096;
    localparam int unsigned RowWidth = $clog2(BankDepth);
    localparam int unsigned Banks = (Depth + BankDepth - 1) / BankDepth;
    logic [AddressWidth-1:0] load_address_q;
    wire [Width-1:0] data[Banks];
    for (genvar b = 0; b < Banks; b++) begin : gen_bank
      (* ram_style = "ultra" *) logic [Width-1:0] words[BankDepth];
      logic [Width-1:0] data_q;
      wire write_here = write && (load_address_q >> RowWidth) == AddressWidth'(b);
      always_ff @(posedge clk_i) begin
        if (write_here) words[load_address_q[RowWidth-1:0]] <= word[Width-1:0];
        if (en_i) data_q <= words[address_i[RowWidth-1:0]];
      end
      assign data[b] = data_q;
    end
    if (Banks > 1) begin : gen_choice
      logic [AddressWidth-RowWidth-1:0] bank_q;
      always_ff @(posedge clk_i) if (en_i) bank_q <= address_i[AddressWidth-1:RowWidth];
      assign data_o = data[bank_q];
    end else begin : gen_only
      assign data_o = data[0];
    end
    always_ff @(posedge clk_i) begin
      if (!rst_ni) load_address_q <= '0;
      else if (write) load_address_q <= load_address_q + 1'b1;
      if (!rst_ni) loaded_q <= 1'b0;
      else if (write && load_address_q == AddressWidth'(Depth - 1)) loaded_q <= 1'b1;
    end
  end else begin : gen_register
    logic [Width-1:0] word_q, data_q;
    always_ff @(posedge clk_i) begin
      if (write) word_q <= word[Width-1:0];
      if (en_i) data_q <= word_q;
      if (!rst_ni) loaded_q <= 1'b0;
      else if (write) loaded_q <= 1'b1;
    end
    assign data_o = data_q;
    wire unused_address = &{1'b0, address_i};
  end
  assign loaded_o = loaded_q;

  // -- what the next memory gets

  logic load_valid_q;
  logic [31:0] load_data_q;
  always_ff @(posedge clk_i) begin
    load_valid_q <= rst_ni && load_valid_i && loaded_q;
    load_data_q <= load_data_i;
  end
  assign load_valid_o = load_valid_q;
  assign load_data_o = load_data_q;

endmodule

`default_nettype wire
